package load

import (
	"fmt"
	"time"
)

// Sessions are conversations: each turn's prompt is all that was said before, then a question. A
// turn is sent when the one before it is answered and the user has thought.
type Sessions struct {
	Number, Turns int
	System        int // tokens of a system prompt that all sessions share
	Question      Lengths
	Output        Lengths
	Think         time.Duration // on average, exponential; 0 is none
	Vocabulary    int
	Seed          uint64
	// Decode, unless nil, makes messages of the tokens of the system prompt and the questions, for
	// a target that reads text; the answers' texts come between them. Without it the prompts are
	// tokens, and so are answers. Where a target does not say which tokens it has generated, others
	// are drawn in their place, and the next turn finds only the prompt before it in a cache.
	Decode func([]int32) string
}

// Workload checks s.
func (s Sessions) Workload() (Workload, error) {
	if err := checkCount("sessions and turns", s.Number, s.Turns); err != nil {
		return nil, err
	}
	if err := s.Question.check("questions"); err != nil {
		return nil, err
	}
	if err := s.Output.check("answers"); err != nil {
		return nil, err
	}
	switch {
	case s.System < 0 || s.System > maxLength:
		return nil, fmt.Errorf("load: found a system prompt of %d tokens, expected 0 to %d", s.System, maxLength)
	case s.Think < 0:
		return nil, fmt.Errorf("load: found a think time of %v, expected at least 0", s.Think)
	}
	if err := checkVocabulary(s.Vocabulary); err != nil {
		return nil, err
	}
	return sessions{s}, nil
}

// Longest is how many tokens a session has at most, the last answer among them.
func (s Sessions) Longest() int { return s.System + s.Turns*(s.Question.most()+s.Output.most()) }

type sessions struct{ Sessions }

func (s sessions) Arrivals() int { return s.Number }
func (s sessions) Requests() int { return s.Number * s.Turns }

func (s sessions) Arrival(i int) Arrival {
	var said []int32
	replaced := 0
	var messages []Message
	asks := func(k int, before Reply) Request {
		lengths := stream(s.Seed, lengthStream, i*s.Turns+k)
		in, out := s.Question.draw(lengths), s.Output.draw(lengths)
		question := drawTokens(make([]int32, 0, in), s.Seed, promptStream, i*s.Turns+k, in, s.Vocabulary)
		r := Request{MaxTokens: out, IgnoreEnd: true}
		if s.Decode != nil {
			switch {
			case k > 0:
				messages = append(messages, Message{"assistant", before.Text})
			case s.System > 0:
				messages = append(messages, Message{"system", s.Decode(s.system())})
			}
			messages = append(messages, Message{"user", s.Decode(question)})
			r.Messages = messages[:len(messages):len(messages)]
			return r
		}
		switch {
		case k == 0:
			said = s.system()
		case before.Tokens != nil:
			said = append(said, before.Tokens...)
		default:
			replaced += before.Count
			said = drawTokens(said, s.Seed, answerStream, i*s.Turns+k, before.Count, s.Vocabulary)
		}
		said = append(said, question...)
		r.Prompt, r.Replaced = said[:len(said):len(said)], replaced
		return r
	}
	think := func(k int) time.Duration {
		return time.Duration(float64(s.Think) * stream(s.Seed, thinkStream, i*s.Turns+k).ExpFloat64())
	}
	return Arrival{Requests: s.Turns, Session: true, Make: asks, Think: think}
}

func (s sessions) system() []int32 {
	return drawTokens(nil, s.Seed, prefixStream, 0, s.System, s.Vocabulary)
}

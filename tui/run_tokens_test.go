package tui

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/tokenview"
	"slimlab/tui/text"
)

// tokensView is a view of three examples: an answer of several tokens with samples, one of which
// the answers stand apart, and a long one.
func tokensView(scare string) *tokenview.View {
	words := []string{"yes", "no", " the", " answer", " is", " 42", ".", "</s>", " maybe", "\xe4", " seven", " forty"}
	at := func(own int, kl float64) *tokenview.Position {
		p := &tokenview.Position{KL: kl, TeacherRank: 1, StudentRank: 1 + int(10*kl)}
		for i := range 12 {
			id := (own + i) % len(words)
			q := 0.5 / float64(1+(i+int(4*kl))%12)
			p.Top = append(p.Top, tokenview.Candidate{ID: int32(id), Text: tokenview.Text(words[id] + scare), Teacher: 0.6 / float64((1+i)*(1+i)), Student: q})
		}
		p.Teacher, p.Student = p.Top[0].Teacher, p.Top[0].Student
		return p
	}
	read := func(text string) []tokenview.Token {
		var list []tokenview.Token
		for _, word := range strings.SplitAfter(text+scare, " ") {
			list = append(list, tokenview.Token{ID: 99, Text: tokenview.Text(word)})
		}
		return list
	}
	answer := func(ids ...int) []tokenview.Token {
		var list []tokenview.Token
		for i, id := range ids {
			list = append(list, tokenview.Token{ID: int32(id), Text: tokenview.Text(words[id] + scare), At: at(id, []float64{0.0004, 0.02, 1.7, 0.2, 0.003}[i%5])})
		}
		return list
	}
	v := &tokenview.View{Teacher: "FM" + scare, Student: "distilled" + scare}
	one := tokenview.Example{Tokens: append(read("what is six times seven? "), answer(2, 3, 4, 5, 6, 7)...)}
	one.Teacher = &tokenview.Sample{Tokens: []int32{2, 3, 4, 5, 6}, Text: tokenview.Text(" the answer is 42." + scare), Ended: true}
	one.Student = &tokenview.Sample{Tokens: make([]int32, 16), Text: tokenview.Text(" the answer is seven seven seven seven" + scare)}
	apart := tokenview.Example{}
	for range 9 {
		apart.Tokens = append(append(apart.Tokens, read("the miner said so far: keep mail sport video ")...), answer(0)...)
	}
	long := tokenview.Example{Tokens: append(read(strings.Repeat("a long prompt that fills lines ", 40)), answer(0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 7)...), Cut: 20}
	v.Examples = []tokenview.Example{one, apart, long}
	return v
}

// tokensLog is the log of a run of which row "distilled" has tokens, and "mlp-37%" some that were
// removed.
func tokensLog(seeds int) []lab.Event {
	log := fakeLog("20261124-1130-figure1-a1", seeds, 0)
	for i := range log {
		switch log[i].Row {
		case "distilled":
			log[i].Tokens = fmt.Sprintf("kept%d", i)
		case "mlp-37%":
			log[i].Tokens = "gone"
		}
	}
	return log
}

func openTokens(t *testing.T, width, height, seeds int, o Options) *script {
	s := newScript(t, width, height, o)
	s.send(watchMsg{&session{id: "20261124-1130-figure1-a1", board: lab.Fold(tokensLog(seeds))}})
	return s.keys("jt")
}

// TestTokensScreens: the pane at the sizes that matter, without colour and in ASCII.
func TestTokensScreens(t *testing.T) {
	for _, size := range [][2]int{{60, 15}, {80, 24}, {124, 40}, {200, 60}} {
		name := fmt.Sprintf("tokens-%dx%d", size[0], size[1])
		t.Run(name, func(t *testing.T) {
			goldenScreen(t, name, openTokens(t, size[0], size[1], 1, Options{}).keys("<right><right>").screen())
		})
	}
	t.Run("ascii", func(t *testing.T) {
		s := openTokens(t, 80, 24, 1, Options{ASCII: true}).keys("j<right>")
		if i := strings.IndexFunc(s.screen(), func(r rune) bool { return r >= 0x80 }); i >= 0 {
			t.Errorf("%q in an ASCII screen", s.screen()[i:min(i+8, len(s.screen()))])
		}
		goldenScreen(t, "tokens-ascii", s.screen())
	})
	t.Run("long", func(t *testing.T) {
		goldenScreen(t, "tokens-long", openTokens(t, 80, 24, 1, Options{}).keys("jj<end>").screen())
	})
}

// TestTokensCursors: tokens, examples, seeds and rows have cursors, which stay within what there
// is; w goes to the highest divergence; Y names the command.
func TestTokensCursors(t *testing.T) {
	s := openTokens(t, 124, 40, 3, Options{}).expect("token 1 of 6", "1 of 3", "[ the", "p: teacher FM   q: student distilled   seed 1, 1 of 3")
	s.keys("<right>").expect("token 2 of 6").keys("<left><left>").expect("token 1 of 6").keys("<end><right>").expect("token 6 of 6")
	s.keys("w").expect("token 3 of 6", "KL 1.700").keys("w").expect("token 4 of 6", "KL 0.200")
	s.keys("j").expect("token 1 of 9").keys("jjj").expect("token 1 of 12").keys("kkkk").expect("token 1 of 6")
	s.keys("s").expect("seed 2, 2 of 3").keys("ss").expect("seed 1, 1 of 3")
	s.keys("Y").expect("copied")
	s.keys("n").expect("its tokens are not in this home").keys("NN").expect("No tokens are kept of this row", "as the baseline is")
	s.keys("<esc>").expect("state")
	s.keys("<enter>").expect("t tokens").keys("t").expect("No tokens").keys("<esc>").expect("esc back")
}

// TestTokensOfARunningRun: a row that is not measured says so, and shows its tokens when they come.
func TestTokensOfARunningRun(t *testing.T) {
	log, at := tokensLog(1), 0
	for i := range log {
		if log[i].Row == "distilled" {
			at = i
		}
	}
	board := lab.Fold(log[:at])
	s := newScript(t, 100, 30, Options{})
	s.send(watchMsg{&session{id: "x", board: board, live: &Live{Board: board, Done: make(chan struct{})}}})
	s.keys("jt").expect("No tokens are kept of this row: it has not been measured yet")
	board.Apply(log[at])
	s.send(tickMsg(epoch))
	s.expect("token 1 of 6")
}

// TestShadesOfDivergence: more divergence is never a better shade, and the ends are the ends.
func TestShadesOfDivergence(t *testing.T) {
	last := 1.0
	for _, kl := range []float64{0, 1e-9, klLow, 0.002, 0.02, 0.3, klHigh, 5} {
		shade := klShade(kl)
		if shade > last || shade < 0 {
			t.Errorf("KL %v has the shade %v, a smaller one %v", kl, shade, last)
		}
		last = shade
	}
	if klShade(0) != 1 || klShade(klHigh) != 0 {
		t.Errorf("the ends are %v and %v", klShade(0), klShade(klHigh))
	}
}

// TestDivergenceByPosition: each answer token has a bar, the highest divergence the highest; what
// is not finite is seen; a click goes to the token; where not all have room, those around the
// cursor.
func TestDivergenceByPosition(t *testing.T) {
	s := openTokens(t, 124, 40, 1, Options{}).expect("KL by position, bars up to 1.700 nats")
	lines := strings.Split(s.screen(), "\n")
	head := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, "KL by position") })
	// the third of six tokens, of columns of 10 cells behind a margin of 2
	if top := []rune(lines[head+1]); string(top[22:31]) != "█████████" || strings.Count(lines[head+1], "█") != 9 {
		t.Errorf("above all is %q", lines[head+1])
	}
	s.expect("token 1 of 6").click(2+10*4, head+2).expect("token 5 of 6").click(2+10*2, head+1).expect("token 3 of 6", "KL 1.700")
	s.keys("jj<end>").expect("token 12 of 12", "KL by position").expectNot("tokens 1–12")
	p := s.runScreen().tokens
	odd := &tokenview.Example{}
	for i, kl := range []float64{0, 1e-9, math.NaN(), math.Inf(1), 2} {
		odd.Tokens = append(odd.Tokens, tokenview.Token{ID: int32(i), Text: "日本", At: &tokenview.Position{KL: kl}})
	}
	p.token = 4
	want := []string{
		" KL by position, bars up to 2.000 nats", "        ×× ×× ██ ", "     ▁▁ ×× ×× ██ ", "  …  …  …  …  …  ",
	}
	if got := p.stripLines(odd, 0, 19, 4); strings.Join(got[1:], "\n") != strings.Join(want[1:], "\n") {
		t.Errorf("drawn is\n%q, expected\n%q", got[1:], want[1:])
	}
	for i := range 200 {
		odd.Tokens = append(odd.Tokens, tokenview.Token{ID: 1, Text: "a", At: &tokenview.Position{KL: float64(i)}})
	}
	for width := 1; width < 90; width += 4 {
		for height := range 9 {
			for p.token = 0; p.token < 205; p.token += 34 {
				got := p.stripLines(odd, 0, width, height)
				if height < stripLeast && got != nil || height >= stripLeast && len(got) != height {
					t.Fatalf("%d lines, expected %d", len(got), height)
				}
				for _, line := range got {
					if w := text.Width(line); w > max(width, 3) {
						t.Fatalf("%q is %d wide, expected %d", line, w, width)
					}
				}
				if height > stripLeast && !strings.Contains(got[height-1], "▲") {
					t.Fatalf("the cursor is not seen: %q", got)
				}
			}
		}
	}
}

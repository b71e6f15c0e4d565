package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"slimlab/internal/commalist"
	"slimlab/model/chat"
	"slimlab/model/tokenizer"
)

// Chat writes a conversation, in one of the forms of chat.ParseConversation, with the tokenizer's
// template.
func Chat(t *tokenizer.Tokenizer, data []byte) (string, error) {
	template, err := chat.FromTokenizer(t)
	if err != nil {
		return "", err
	}
	conversation, err := chat.ParseConversation(data)
	if err != nil {
		return "", err
	}
	conversation.Now = time.Now()
	return template.Render(conversation)
}

// Piece is a token with the text that it stands for.
type Piece struct {
	ID   int32
	Text string
}

// MarshalJSON writes {"id": 1, "piece": "text"}. The piece of a token that is a part of a character
// is the list of its bytes.
func (p Piece) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"id":%d,"piece":`, p.ID)
	if !utf8.ValidString(p.Text) {
		for i := range len(p.Text) {
			b.WriteByte("[,"[min(i, 1)])
			b.WriteString(strconv.Itoa(int(p.Text[i])))
		}
		b.WriteString("]}")
		return b.Bytes(), nil
	}
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(p.Text); err != nil {
		return nil, err
	}
	return append(bytes.TrimRight(b.Bytes(), "\n"), '}'), nil
}

// Pieces returns ids with their texts. Each is what its token stands for within a text.
func Pieces(t *tokenizer.Tokenizer, ids []int32) []Piece {
	pieces := make([]Piece, len(ids))
	for i, id := range ids {
		pieces[i] = Piece{id, t.Text(id)}
	}
	return pieces
}

// ParseIDs reads ids: a JSON array, or numbers with white space or commas between. Each must be an
// id of the tokenizer.
func ParseIDs(t *tokenizer.Tokenizer, text string) ([]int32, error) {
	text = strings.TrimSpace(text)
	if inner, ok := strings.CutPrefix(text, "["); ok {
		if text, ok = strings.CutSuffix(inner, "]"); !ok {
			return nil, errors.New("ids: the array does not end, expected ]")
		}
	}
	fields, err := commalist.Parts(text)
	if err != nil {
		var empty *commalist.EmptyError
		errors.As(err, &empty)
		return nil, fmt.Errorf("ids[%d]: found nothing between commas, expected a number", empty.Place-1)
	}
	ids := make([]int32, len(fields))
	for i, field := range fields {
		id, err := strconv.ParseInt(field, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("ids[%d]: found %.40q, expected a number", i, field)
		}
		if id < 0 || int(id) >= t.Vocab() {
			return nil, fmt.Errorf("ids[%d]: found %d, expected an id below %d", i, id, t.Vocab())
		}
		ids[i] = int32(id)
	}
	return ids, nil
}

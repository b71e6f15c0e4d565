package tokenizer

import (
	"strings"
	"testing"
)

// TestTokensThatNoMergeMakes: where a whole word may be a token, a text is cut only if merges make
// all tokens but those that are isolated before, byte tokens and the unknown one.
func TestTokensThatNoMergeMakes(t *testing.T) {
	for _, c := range []struct {
		vocabulary, merges string
		apart              []string
		makes              bool
	}{
		{`"a":0,"b":1,"ab":2`, `"a b"`, nil, true},
		{`"a":0,"b":1,"ab":2`, ``, nil, false},
		{`"a":0,"b":1,"ab":2`, ``, []string{"ab"}, true},
		{`"a":0,"b":1,"ab":2,"ba":3`, `"a b"`, []string{"ab"}, false},
		{`"a":0,"b":1,"<0x41>":2`, ``, nil, true},
		{`"a":0,"b":1,"<0x4>":2`, ``, nil, false},
		{`"a":0,"b":1,"c":2,"ab":3,"bc":4,"abc":5`, `"a b","b c","a bc"`, nil, false}, // a b is merged first, ab c is no merge
		{`"a":0,"b":1,"c":2,"ab":3,"bc":4,"abc":5`, `"b c","a b","a bc"`, nil, true},
		{`"a":0,"b":1,"?u":2`, ``, nil, true}, // the unknown token
	} {
		file := `{"decoder":{"type":"Sequence","decoders":[{"type":"ByteFallback"},{"type":"Fuse"}]},"added_tokens":[],"model":{"type":"BPE","byte_fallback":true,"ignore_merges":true,"unk_token":"?u","vocab":{` + c.vocabulary + `},"merges":[` + c.merges + `]}}`
		if !strings.Contains(c.vocabulary, "?u") {
			file = strings.Replace(file, `"unk_token":"?u",`, "", 1)
		}
		tok, err := Parse([]byte(file))
		if err != nil {
			t.Errorf("%s: %v", c.vocabulary, err)
			continue
		}
		if got := tok.model.makesAll(c.apart); got != c.makes {
			t.Errorf("{%s}, merges [%s], %q apart: makes all is %v", c.vocabulary, c.merges, c.apart, got)
		}
		cuts := false
		for _, row := range newSeams(&tok.model, c.apart).cut {
			for _, cut := range row {
				cuts = cuts || cut
			}
		}
		if cuts && !c.makes {
			t.Errorf("{%s}, merges [%s]: a text is cut, though a token may lie across", c.vocabulary, c.merges)
		}
	}
}

package tokenizer_test

import (
	"fmt"
	"slices"

	"slimlab/model/tokenizer"
)

// Train makes a byte-level tokenizer; a Decoder turns its ids back into text one at a time.
func Example() {
	texts := []string{"the cat sat on the mat", "the bat sat on the cat"}
	t, err := tokenizer.Train(slices.Values(texts), 272, []string{"<eos>"})
	if err != nil {
		fmt.Println(err)
		return
	}
	d := t.NewDecoder()
	for _, id := range t.Encode("the cat é<eos>") {
		fmt.Printf("%q completes %q\n", t.Token(id), d.Push(id))
	}
	// Output:
	// "the" completes "the"
	// "Ġcat" completes " cat"
	// "Ġ" completes " "
	// "Ã" completes ""
	// "©" completes "é"
	// "<eos>" completes "<eos>"
}

package sweep

// Word is a word of a line of conditions.
type Word struct {
	Text   string
	Quoted bool // it begins with a quote: a text, and no word of the language
}

// Words cuts a line as filters are cut: at spaces that are not between double quotes. It is for
// languages beside this one that are to be typed alike. A quote that is not closed is an error.
func Words(line string) ([]Word, error) {
	parts, err := split(line)
	words := make([]Word, len(parts))
	for i, p := range parts {
		words[i] = Word{p.text, p.quoted}
	}
	return words, err
}

package texttable

import "testing"

func table() *Table {
	t := New(1, "name", "size", "é")
	t.Add("a", "12", "1")
	t.Add("βγ", "3")
	return t
}

func TestTextAlignsColumns(t *testing.T) {
	tab := table()
	tab.Indent = " "
	if got, want := tab.Text(), " name  size  é\n a       12  1\n βγ       3\n"; got != want {
		t.Errorf("found\n%s\nexpected\n%s", got, want)
	}
	if got := tab.Width(); got != 14 {
		t.Errorf("found width %d, expected 14", got)
	}
	tab.NoHead = true
	if got, want := tab.Text(), " a   12  1\n βγ   3\n"; got != want {
		t.Errorf("without a head: found\n%s\nexpected\n%s", got, want)
	}
}

func TestMarkdown(t *testing.T) {
	want := "| name | size | é |\n| --- | ---: | ---: |\n| a | 12 | 1 |\n| βγ | 3 |\n"
	if got := table().Markdown(); got != want {
		t.Errorf("found\n%s\nexpected\n%s", got, want)
	}
	if got, want := Escape("a|b*c_d<e\nf"), `a\|b\*c\_d&lt;e f`; got != want {
		t.Errorf("found %s, expected %s", got, want)
	}
}

package datafile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/await"
	"slimlab/internal/plural"
)

// purpose is what the lists of a file are for.
type purpose int

const (
	anything purpose = iota
	training
	heldOut
)

// lists are the keys, in small letters, under which one JSON object holds a file's records.
var lists = map[string]purpose{
	"data": anything, "records": anything, "examples": anything, "instances": anything, "questions": anything, "rows": anything,
	"train": training, "training": training,
	"validation": heldOut, "valid": heldOut, "val": heldOut, "dev": heldOut, "eval": heldOut, "test": heldOut, "testing": heldOut,
}

// HeldOut makes Records read the list that is held out from training, such as "test", where one
// JSON object has lists of both kinds. Without it, that of training is read.
func (f *File) HeldOut() { f.purpose = heldOut }

// member is a member of an object.
type member struct {
	key   string
	value json.RawMessage
	at    int // offset of the value
	purpose
	size int // elements of a list
}

// membersOf are the members of a JSON object in order; ok is false for other text.
func membersOf(object []byte) (all []member, ok bool) {
	d := json.NewDecoder(bytes.NewReader(object))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, false
	}
	for d.More() {
		key, err := d.Token()
		m := member{}
		if m.key, ok = key.(string); err != nil || !ok || d.Decode(&m.value) != nil {
			return nil, false
		}
		m.at = int(d.InputOffset()) - len(m.value)
		all = append(all, m)
	}
	_, err := d.Token()
	return all, err == nil
}

// first is the first byte of a list's first element, or of an object's first key, 0 for other
// values.
func (m member) first() byte {
	if m.value[0] != '[' && m.value[0] != '{' {
		return 0
	}
	return bytes.TrimLeft(m.value[1:], " \t\r\n")[0]
}

// object yields the list that one object of a file holds, or the object.
func (f *File) object(one Record, yield func(Record, error) bool, fail func(int, error)) {
	all, err := await.Do(f.ctx, func() ([]member, error) {
		all, _ := membersOf(one.JSON) // what is no object is the reader's to refuse
		return all, nil
	})
	if err != nil {
		fail(0, err)
		return
	}
	if at, err := ambiguous(one.JSON); err != nil {
		fail(one.Line+bytes.Count(one.JSON[:at], []byte("\n")), err)
		return
	}
	if err := columns(all); err != nil {
		fail(one.Line, err)
		return
	}
	found := listsOf(all)
	if len(found) == 0 {
		yield(one, nil)
		return
	}
	list, err := f.choose(found)
	if err != nil {
		fail(one.Line, err)
		return
	}
	f.elements(list.value, one.Line+bytes.Count(one.JSON[:list.at], []byte("\n")), yield, fail)
}

// listsOf are the members that hold records under a known key.
func listsOf(all []member) (found []member) {
	for _, m := range all {
		of, known := lists[strings.ToLower(m.key)]
		if !known || m.value[0] != '[' || m.first() != '{' && m.first() != ']' {
			continue
		}
		var elements []json.RawMessage
		_ = json.Unmarshal(m.value, &elements) // which is valid
		m.purpose, m.size = of, len(elements)
		found = append(found, m)
	}
	return found
}

// choose takes the one list that has records, or the one for the file's purpose beside those of the
// other. What it leaves is said.
func (f *File) choose(found []member) (member, error) {
	full := slices.DeleteFunc(slices.Clone(found), func(m member) bool { return m.size == 0 })
	want := training
	if f.purpose == heldOut {
		want = heldOut
	}
	if len(full) > 1 && !slices.ContainsFunc(full, func(m member) bool { return m.purpose == anything }) {
		full = slices.DeleteFunc(full, func(m member) bool { return m.purpose != want })
	}
	switch {
	case len(full) == 0 && slices.ContainsFunc(found, func(m member) bool { return m.size > 0 }), len(full) > 1:
		return member{}, fmt.Errorf("found the lists %s in one JSON object, expected one list%s: write the one that is meant to a file of its own (jq -c '.%s[]' FILE > OUT)",
			sizes(found, true), map[purpose]string{training: `, or "train" beside others`, heldOut: `, or "validation" or "test" beside "train"`}[want], found[0].key)
	case len(full) == 0:
		full = found[:1] // of which the reader says that there is nothing
	}
	list := full[0]
	if records, err := fromServer(list); err != nil {
		return records, err
	}
	note := fmt.Sprintf("read as the list %q of one JSON object, %s", list.key, plural.Of(list.size, "record"))
	if rest := slices.DeleteFunc(slices.Clone(found), func(m member) bool { return m.at == list.at }); len(rest) > 0 {
		note += "; left out: " + sizes(rest, false)
	}
	f.note("%s", note)
	return list, nil
}

// fromServer refuses a page of rows as Hugging Face's server of data sets gives it.
func fromServer(list member) (member, error) {
	var rows []map[string]json.RawMessage
	if json.Unmarshal(list.value, &rows) == nil && len(rows) > 0 && rows[0]["row"] != nil && rows[0]["row_idx"] != nil {
		return member{}, fmt.Errorf("found %q of a page of Hugging Face's data set server, whose records are within \"row\": take them out (jq -c '.%s[].row' FILE > OUT)", list.key, list.key)
	}
	return list, nil
}

// sizes lists the names of lists and how many records they have.
func sizes(all []member, and bool) string {
	parts := make([]string, len(all))
	for i, m := range all {
		parts[i] = fmt.Sprintf("%q (%s)", m.key, plural.Of(m.size, "record"))
	}
	if last := len(parts) - 1; and && last > 0 {
		return strings.Join(parts[:last], ", ") + " and " + parts[last]
	}
	return strings.Join(parts, ", ")
}

// columns refuses one object that holds a table, as pandas and others write it: a list of values
// under each name, or an object of values by their index, or rows by their index.
func columns(all []member) error {
	if len(all) == 0 {
		return nil
	}
	convert := func(form, orient string) error {
		names := make([]string, 0, 4)
		for _, m := range all[:min(len(all), 4)] {
			names = append(names, fmt.Sprintf("%.40q", m.key))
		}
		return fmt.Errorf("found one JSON object with a table's %s (%s), expected records: write one JSON object a row (in Python: pandas.read_json(FILE%s).to_json(OUT, orient=\"records\", lines=True))", form, strings.Join(names, ", "), orient)
	}
	every := func(is func(member) bool) bool {
		return !slices.ContainsFunc(all, func(m member) bool { return !is(m) })
	}
	has := func(key string, begins string) bool {
		return slices.ContainsFunc(all, func(m member) bool { return m.key == key && strings.HasPrefix(string(m.value), begins) })
	}
	switch {
	case has("columns", "[") && has("data", "["):
		return convert("columns and rows apart", `, orient="split"`)
	case every(func(m member) bool { return m.value[0] == '{' && isIndex(m.key) }):
		return convert("rows by their index", `, orient="index"`)
	case every(member.byIndex):
		return convert("columns", "")
	case every(member.isSplit):
		return fmt.Errorf("found one JSON object of splits (%q) whose values are no lists, expected lists of records: write the records of one split to a file, one JSON object a line (in Python, of the library datasets: data[%q].to_json(OUT))", all[0].key, all[0].key)
	case every(member.isColumn) && every(func(m member) bool { return m.length() == all[0].length() }):
		return convert("columns", "")
	}
	return nil
}

func isIndex(key string) bool { _, err := strconv.ParseUint(key, 10, 64); return err == nil }

// byIndex reports an object whose keys are indices.
func (m member) byIndex() bool {
	inner, ok := membersOf(m.value)
	return ok && len(inner) > 0 && !slices.ContainsFunc(inner, func(m member) bool { return !isIndex(m.key) })
}

// isSplit reports an object under the name of a split.
func (m member) isSplit() bool {
	of, known := lists[strings.ToLower(m.key)]
	return known && of != anything && m.value[0] == '{'
}

// isColumn reports a list of values that are no objects.
func (m member) isColumn() bool { return m.value[0] == '[' && m.first() != '{' && m.first() != ']' }

func (m member) length() int {
	var elements []json.RawMessage
	_ = json.Unmarshal(m.value, &elements) // which is valid
	return len(elements)
}

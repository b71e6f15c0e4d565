package task

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"slimlab/internal/jsonread"
	"slimlab/internal/nearest"
	"slimlab/internal/plural"
	"slimlab/lab/datafile"
)

// Record is one example of a file: a prompt and its response, a text, or a conversation.
type Record struct {
	Line             int
	Prompt, Response string
	// Response is a text without a prompt, every token of which is learned
	Whole    bool
	Messages json.RawMessage // of a conversation, a JSON array; Tools too, or nil
	Tools    json.RawMessage
	Group    string     // whose it is, where the configuration names a field
	Task     string     // of which task it is, likewise; "" is of none
	Weights  *weighting // nil where all are 1
}

// fields names the members of a record's object: prompt, an optional addition to it, and response;
// or response alone for a text; or conversation alone.
type fields struct{ prompt, input, response, conversation string }

// knownFields are the names that published files use, in the order in which they are tried.
var knownFields = []fields{
	{prompt: "prompt", response: "response"},
	{prompt: "prompt", response: "completion"},
	{prompt: "question", response: "answer"},
	{prompt: "instruction", input: "input", response: "output"},
	{prompt: "instruction", input: "input", response: "response"},
	{prompt: "instruction", input: "context", response: "response"},
	{prompt: "input", response: "output"},
	{prompt: "input", response: "target"},
	{prompt: "query", response: "response"},
	{prompt: "query", response: "answer"},
	{prompt: "problem", response: "solution"},
	{prompt: "question", response: "response"},
	{prompt: "prompt", response: "answer"},
	{prompt: "prompt", response: "output"},
}

// otherFields are tried where no pair of prompt and response is there.
var otherFields = []fields{{conversation: "messages"}, {conversation: "conversations"}, {conversation: "conversation"}, {response: "text"}}

func (f fields) String() string {
	switch {
	case f.conversation != "":
		return fmt.Sprintf("conversations in %q, of which the assistant's answers are learned", f.conversation)
	case f.prompt == "":
		return fmt.Sprintf("texts in %q, of which every token is learned", f.response)
	case f.input != "":
		return fmt.Sprintf("fields %q (and %q where present) → %q", f.prompt, f.input, f.response)
	}
	return fmt.Sprintf("fields %q → %q", f.prompt, f.response)
}

// has reports whether a record of these fields reads a member.
func (f fields) has(name string) bool {
	return name != "" && (name == f.prompt || name == f.input || name == f.response || name == f.conversation) || name == "tools" && f.conversation != ""
}

// recordReader reads the records of one file. The first settles which fields are meant.
type recordReader struct {
	cfg     JSONLConfig
	use     fields
	nulls   int            // additions to a prompt that are null
	parts   int            // messages whose content is a list of texts
	ignored map[string]int // records that have a member which is not read
	// records with a task, with a weight and with a mask, and messages with a weight
	ofTask, weighed, masked, weighedMessages int
	// messages of weight 1 of other roles than the assistant's, and records without a loss; the
	// lines of the first
	otherRoles, unlearned          int
	firstOtherRole, firstUnlearned int
}

// readRecords reads the records of a file, all or the first limit.
func (r *recordReader) readRecords(file *datafile.File) (records []Record, err error) {
	r.ignored = map[string]int{}
	for raw, err := range file.Records() {
		if err != nil {
			return nil, err
		}
		record, err := r.read(raw.JSON)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file.Name(), raw.Line, err)
		}
		record.Line = raw.Line
		if r.otherRoles > 0 && r.firstOtherRole == 0 {
			r.firstOtherRole = raw.Line
		}
		records = append(records, record)
		if len(records) == r.cfg.Limit {
			break
		}
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("%s: no records, expected JSON objects: one a line, or a JSON array of them", file.Name())
	}
	return records, nil
}

// notes say what was read as something else, or not at all.
func (r *recordReader) notes(name string, records int) (notes []string) {
	if r.nulls > 0 {
		notes = append(notes, fmt.Sprintf("%s: %q is null in %d of %s, read as an empty text", name, r.use.input, r.nulls, plural.Of(records, "record")))
	}
	if r.parts > 0 {
		notes = append(notes, fmt.Sprintf("%s: the content of %s is a list of texts, which are joined with line ends", name, plural.Of(r.parts, "message")))
	}
	notes = append(notes, r.weightNotes(name, records)...)
	if len(r.ignored) > 0 {
		notes = append(notes, fmt.Sprintf("%s: other fields are not read: %s", name, quoteAll(r.otherNames())))
	}
	return notes
}

// otherNames are the members of records that are not read.
func (r *recordReader) otherNames() []string { return slices.Sorted(maps.Keys(r.ignored)) }

func (r *recordReader) read(raw []byte) (Record, error) {
	object, err := readObject(raw)
	if err != nil {
		return Record{}, err
	}
	if r.use == (fields{}) {
		if r.use, err = chooseFields(object, r.cfg); err != nil {
			return Record{}, err
		}
	}
	for name := range object {
		if !r.use.has(name) && name != r.cfg.GroupField && name != r.cfg.TaskField && name != r.cfg.WeightField && name != r.cfg.MaskField {
			r.ignored[name]++
		}
	}
	record, err := r.readRecord(object)
	if err == nil && r.cfg.GroupField != "" {
		record.Group, err = named(object, r.cfg.GroupField, "a group")
	}
	if err == nil {
		err = r.readTask(object, &record)
	}
	if err == nil {
		err = r.readWeights(object, &record)
	}
	return record, err
}

// readRecord reads the fields of a record.
func (r *recordReader) readRecord(object map[string]json.RawMessage) (Record, error) {
	switch {
	case r.use.conversation != "":
		return r.readConversation(object, r.use.conversation)
	case r.use.prompt == "":
		text, err := responseField(object, r.use.response)
		return Record{Response: text, Whole: true}, err
	}
	prompt, err := textField(object, r.use.prompt)
	if err != nil {
		return Record{}, err
	}
	if r.use.response == "completion" && string(object["label"]) == "false" {
		return Record{}, errors.New("field \"label\" is false, which marks an answer that is not wanted (KTO), expected answers to learn: take such records out (jq -c 'select(.label)' FILE > OUT)")
	}
	input, err := r.input(object)
	if err != nil {
		return Record{}, err
	}
	if strings.TrimSpace(input) != "" {
		prompt += "\n" + input
	}
	response, err := responseField(object, r.use.response)
	return Record{Prompt: prompt, Response: response}, err
}

// input is the addition to a prompt, "" where it is absent or null.
func (r *recordReader) input(object map[string]json.RawMessage) (string, error) {
	raw, ok := object[r.use.input]
	switch {
	case !ok || r.use.input == "":
		return "", nil
	case string(raw) == "null":
		r.nulls++
		return "", nil
	}
	return textField(object, r.use.input)
}

// responseField returns a text that is not empty.
func responseField(object map[string]json.RawMessage, name string) (string, error) {
	text, err := textField(object, name)
	if err == nil && strings.TrimSpace(text) == "" {
		err = fmt.Errorf("field %q is empty, expected a response", name)
		if name == "text" {
			err = fmt.Errorf("field %q is empty, expected a text", name)
		}
	}
	return text, err
}

// readObject reads a JSON object.
func readObject(raw []byte) (map[string]json.RawMessage, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, describeJSON(raw, err)
	}
	if object == nil {
		return nil, errors.New("found null, expected a JSON object")
	}
	return object, nil
}

// describeJSON says in words what is wrong with a record that is no JSON object.
func describeJSON(raw []byte, err error) error {
	var syntax *jsonread.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind):
		if raw[0] == '[' {
			return errors.New("found a JSON array, expected a JSON object")
		}
		return fmt.Errorf("found a %s, expected a JSON object", kind.Value)
	case len(raw) > 0 && !strings.ContainsRune("{[\"", rune(raw[0])):
		begin := string(raw[:min(len(raw), 40)])
		for !utf8.ValidString(begin) {
			begin = begin[:len(begin)-1]
		}
		err := fmt.Errorf("found the text %q, expected a JSON object", begin)
		if advice := datafile.Dialect(raw); advice != "" {
			err = fmt.Errorf("%w; %s", err, advice)
		}
		return err
	}
	if err = jsonread.Explain(raw, err); errors.As(err, &syntax) && syntax.Line == 1 {
		problem := syntax.Problem
		if advice := datafile.Dialect(raw); advice != "" {
			problem += "; " + advice
		}
		return fmt.Errorf("column %d: not JSON: %s", syntax.Column, problem)
	}
	return err
}

// chooseFields takes the configured fields, and what is not configured from the first of
// knownFields that fits.
func chooseFields(object map[string]json.RawMessage, cfg JSONLConfig) (fields, error) {
	if cfg.PromptField != "" && cfg.ResponseField != "" {
		return fields{prompt: cfg.PromptField, response: cfg.ResponseField}, nil
	}
	has := func(name string) bool { _, ok := object[name]; return ok }
	for _, known := range knownFields {
		if cfg.PromptField != "" && cfg.PromptField != known.prompt {
			continue
		}
		if cfg.ResponseField != "" && cfg.ResponseField != known.response {
			continue
		}
		if has(known.prompt) && has(known.response) {
			return known, nil
		}
	}
	if cfg.PromptField+cfg.ResponseField == "" {
		for _, other := range otherFields {
			if has(other.conversation) || has(other.response) {
				return other, nil
			}
		}
	}
	// One name is given and the other cannot be guessed from a known pair: take any known partner.
	for _, known := range knownFields {
		if cfg.PromptField != "" && has(known.response) && known.response != cfg.PromptField {
			return fields{prompt: cfg.PromptField, response: known.response}, nil
		}
		if cfg.ResponseField != "" && has(known.prompt) && known.prompt != cfg.ResponseField {
			return fields{prompt: known.prompt, response: cfg.ResponseField}, nil
		}
	}
	if form := questionForm(object); form >= 0 {
		return fields{}, fmt.Errorf("found a question of the form of %s, expected a prompt and its response", questionForms[form].name)
	}
	if known, found := inOtherCase(object); found && cfg.PromptField+cfg.ResponseField == "" {
		return known, nil
	}
	err := fmt.Errorf("cannot distinguish prompt and response among the fields %s", quoteAll(fieldNames(object)))
	if k := cfg.Knobs; k.PromptField != "" {
		err = fmt.Errorf("%w; set %s and %s", err, k.PromptField, k.ResponseField)
	}
	if advice := otherRecord(object); advice != "" {
		err = fmt.Errorf("%w; %s", err, advice)
	}
	return fields{}, err
}

// inOtherCase returns known fields whose names the object has with other capitals, such as Prompt.
func inOtherCase(object map[string]json.RawMessage) (fields, bool) {
	names := map[string]string{}
	for _, name := range fieldNames(object) {
		if name != "" {
			names[strings.ToLower(name)] = name
		}
	}
	for _, known := range append(knownFields[:len(knownFields):len(knownFields)], otherFields...) {
		f := fields{names[known.prompt], names[known.input], names[known.response], names[known.conversation]}
		if (f.prompt != "") == (known.prompt != "") && (f.response != "") == (known.response != "") && (f.conversation != "") == (known.conversation != "") {
			return f, true
		}
	}
	return fields{}, false
}

// otherRecord says what a record is that has no prompt and response, "" where it is unknown.
func otherRecord(object map[string]json.RawMessage) string {
	has := func(name string) bool { _, ok := object[name]; return ok }
	switch {
	case has("chosen") && has("rejected"):
		return "it is a pair of answers for preference training (DPO): the one under \"chosen\" can be learned where it is a text and a prompt stands beside it"
	case has("input_ids"):
		return "its texts are tokens already (input_ids): give the texts, which the model's own tokenizer encodes"
	case has("error"), has("message") && len(object) <= 4, has("detail"):
		return "it may be a server's message in place of the file: download it again, with the rights that it asks for"
	case has("body") && has("custom_id"):
		return "it is a request of a batch: write its messages as a record (jq -c '{messages: .body.messages}' FILE > OUT) with the answers"
	case has("role") && has("content"):
		return "it is one message: write the messages of each conversation as a list under \"messages\""
	}
	return ""
}

func fieldNames(object map[string]json.RawMessage) []string {
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func quoteAll(names []string) string {
	const most, longest = 12, 40
	quoted := make([]string, 0, most)
	for i, name := range names {
		if i == most {
			quoted = append(quoted, "…")
			break
		}
		if len(name) > longest {
			name = strings.ToValidUTF8(name[:longest], "") + "…"
		}
		quoted = append(quoted, fmt.Sprintf("%q", name))
	}
	if len(quoted) == 0 {
		return "(none)"
	}
	return strings.Join(quoted, ", ")
}

// textField returns a field's text.
func textField(object map[string]json.RawMessage, name string) (string, error) {
	raw, ok := object[name]
	if !ok {
		return "", missingField(object, name)
	}
	var text string
	if raw[0] != '"' {
		err := fmt.Errorf("field %q is %s, expected a string", name, kindOf(raw[0]))
		var list []struct{ Role *string }
		if json.Unmarshal(raw, &list) == nil && len(list) > 0 && list[0].Role != nil {
			err = fmt.Errorf("%w: it holds messages, which are read as one list with the answer under \"messages\"", err)
		}
		return "", err
	}
	if err := jsonread.Decode(raw, &text); err != nil {
		return "", fmt.Errorf("field %q: %w", name, err)
	}
	return text, nil
}

func missingField(object map[string]json.RawMessage, name string) error {
	names := fieldNames(object)
	if near := nearest.Suggest(name, names); near != "" {
		return fmt.Errorf("no field %q%s", name, near)
	}
	return fmt.Errorf("no field %q among %s", name, quoteAll(names))
}

// kindOf names the kind of a JSON value by its first byte.
func kindOf(first byte) string {
	switch first {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

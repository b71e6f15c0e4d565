package task

import (
	"context"
	"fmt"
	"hash/fnv"
	"strings"

	"slimlab/internal/plural"
	"slimlab/lab/datafile"
)

// JSONLConfig sets an engineer's own data: a file of JSON objects, one a line or in an array.
type JSONLConfig struct {
	Path string `key:"path"`
	// PromptField and ResponseField name the fields to use; where empty, the usual names are looked
	// for in the first line.
	PromptField   string `key:"prompt_field"`
	ResponseField string `key:"response_field"`
	// Template makes a text of a record: {prompt} and, after it, {response}, each once. What
	// follows {prompt} up to {response} is read, what follows is answered; an end-of-sequence token
	// is added.
	Template  string `key:"template"`
	MaxTokens int    `key:"max_tokens"` // longer examples lose their end
	Limit     int    `key:"limit"`      // records to read; 0 is all
	// ValidationShare and CalibrationShare are the parts of the file that are kept from training,
	// chosen by a hash of each prompt, of the text where there is none, and SplitSeed; 0 keeps
	// none. So records with the same prompt are in the same split, and a longer file moves no
	// record, unless it was so short that a split would have none.
	ValidationShare  float64 `key:"validation_share"`
	CalibrationShare float64 `key:"calibration_share"`
	SplitSeed        uint64  `key:"split_seed"`
	// TestShare is the part that is kept as a test set, chosen in the same way; TestPath is a file
	// of records that are one. At most one of them is set.
	TestShare float64 `key:"test_share" default:"0" omit:"default"`
	TestPath  string  `key:"-"`
	// GroupField names the field that says whose a record is, such as a user's.
	GroupField string `key:"-"`
	// TaskField names the field that says of which task a record is. It changes no example.
	TaskField string `key:"-"`
	// WeightField names the field of a record that is the factor of all its losses, from 0 to 1000.
	// MaskField names the field that lists the spans of its response's characters that have no
	// loss: [[from, to], …], each without its end.
	WeightField string `key:"weight_field" default:"" omit:"default"`
	MaskField   string `key:"mask_field" default:"" omit:"default"`
	// MostTokens is the most that MaxTokens can be, the positions of the models; 0 is no bound.
	MostTokens int   `key:"-"`
	Knobs      Knobs `key:"-"`
}

// Knobs are the names by which a user sets what messages advise: keys of a scenario, or flags of a
// verb. An empty one cannot be set.
type Knobs struct {
	MaxTokens, PromptField, ResponseField, TaskField, WeightField, MaskField string
	// KeepNone is how nothing is kept from training.
	KeepNone string
}

// DefaultJSONL are the settings for any file.
func DefaultJSONL(path string) JSONLConfig {
	return JSONLConfig{
		Path: path, Template: "{prompt}\n{response}", MaxTokens: 512, ValidationShare: 0.1, CalibrationShare: 0.1,
		Knobs: Knobs{MaxTokens: "max_tokens", PromptField: "prompt_field", ResponseField: "response_field", TaskField: "task_field", WeightField: "weight_field", MaskField: "mask_field"},
	}
}

// Validate reports the first setting that cannot be.
func (c JSONLConfig) Validate() error {
	at, end := strings.Index(c.Template, "{prompt}"), strings.Index(c.Template, "{response}")
	switch {
	case c.Path == "":
		return fmt.Errorf("jsonl: path is empty, expected a file of records")
	case at < 0 || end < at || strings.Count(c.Template, "{prompt}") > 1 || strings.Count(c.Template, "{response}") > 1:
		return fmt.Errorf("jsonl: template is %q, expected {prompt} and, after it, {response}, each once", c.Template)
	case c.MaxTokens < 2:
		return fmt.Errorf("jsonl: %s is %d, expected at least 2", c.Knobs.MaxTokens, c.MaxTokens)
	case c.Limit < 0:
		return fmt.Errorf("jsonl: limit is %d, expected 0 (all) or more", c.Limit)
	case !(c.ValidationShare >= 0 && c.CalibrationShare >= 0 && c.ValidationShare+c.CalibrationShare < 1):
		return fmt.Errorf("jsonl: validation_share is %v and calibration_share %v, expected both from 0 and their sum below 1", c.ValidationShare, c.CalibrationShare)
	case !(c.TestShare >= 0 && c.ValidationShare+c.CalibrationShare+c.TestShare < 1):
		return fmt.Errorf("jsonl: the test share is %v beside %v for validation and %v for calibration, expected a sum below 1", c.TestShare, c.ValidationShare, c.CalibrationShare)
	}
	return c.checkWeightFields()
}

// Records are a file's records by split, as text.
type Records struct {
	cfg                            JSONLConfig
	name                           string // of the file, in messages
	train, validation, calibration []Record
	test                           []Record
	use                            fields
	notes                          []string
	content, testContent           string
	messageWeights                 bool
	tasks                          []string // names by number
}

// ReadJSONL reads a file. A tokenizer can be trained on its Corpus before NewJSONL turns it into
// tokens.
func ReadJSONL(ctx context.Context, cfg JSONLConfig) (*Records, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	file, err := datafile.Open(ctx, cfg.Path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	d, err := NewRecords(cfg, file)
	if err == nil && cfg.TestPath != "" {
		err = d.readTest(ctx)
	}
	return d, err
}

// NewRecords reads the records of a file that was opened.
func NewRecords(cfg JSONLConfig, file *datafile.File) (*Records, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	reader := recordReader{cfg: cfg}
	all, err := reader.readRecords(file)
	if err != nil {
		return nil, err
	}
	d := &Records{cfg: cfg, name: file.Name(), notes: file.Notes(), use: reader.use}
	if d.content, err = file.Sum(); err != nil {
		return nil, err
	}
	d.messageWeights = reader.weighedMessages > 0
	if err := reader.checkWeights(d.name, len(all)); err != nil {
		return nil, err
	}
	read := len(all)
	if all, err = reader.dropUnlearned(d.name, all); err != nil {
		return nil, err
	}
	rest, err := d.takeTest(all)
	if err != nil {
		return nil, err
	}
	if err := d.split(rest); err != nil {
		return nil, err
	}
	test := ""
	if len(d.test) > 0 {
		test = fmt.Sprintf(", %d test", len(d.test))
	}
	d.notes = append(d.notes, fmt.Sprintf("%s: %s; %s: %d training, %d validation, %d calibration%s",
		d.name, reader.use, plural.Of(len(all), "record"), len(d.train), len(d.validation), len(d.calibration), test))
	d.nameTasks(all)
	d.notes = append(d.notes, reader.notes(d.name, read)...)
	return d, nil
}

// Content is the hexadecimal SHA-256 of the file.
func (d *Records) Content() string { return d.content }

// Kept is how many records are kept from training.
func (d *Records) Kept() int { return len(d.validation) + len(d.calibration) }

// MessageWeights reports whether messages of conversations have weights, whatever they are.
func (d *Records) MessageWeights() bool { return d.messageWeights }

// Conversations reports whether the records are conversations, which only a Chat can write.
func (d *Records) Conversations() bool { return d.train[0].Messages != nil }

// place puts a prompt on [0, 1).
func place(prompt string, seed uint64) float64 {
	h := fnv.New64a()
	h.Write([]byte(prompt))
	_, x := hashKeys(seed, h.Sum64())
	return float64(x>>11) / (1 << 53)
}

// segments are the texts to read and to answer of a record, in order. A conversation must be
// written by chat.
func (d *Records) segments(r Record, chat Chat) (conversation, error) {
	switch {
	case r.Messages != nil:
		c, err := writeConversation(r, chat)
		if err != nil {
			err = fmt.Errorf("%s:%d: %w", d.name, r.Line, err)
		}
		return c, err
	case r.Whole:
		return conversation{segments: []segment{r.answer(r.Response)}}, nil
	}
	before, after, _ := strings.Cut(d.cfg.Template, "{response}")
	head, tail, _ := strings.Cut(before, "{prompt}")
	return conversation{segments: []segment{{text: head + r.Prompt + tail, weight: r.weight()}, r.answer(r.Response + after)}}, nil
}

// answer is a record's response, as a text that begins with it.
func (r *Record) answer(text string) segment {
	s := segment{text: text, answer: true, weight: r.weight()}
	if r.Weights != nil {
		s.masked = r.Weights.masked
	}
	return s
}

// Whole reports whether the records are texts, which have no prompts.
func (d *Records) Whole() bool { return d.train[0].Whole }

// Corpus returns the texts of the first n training records, which are no conversations.
func (d *Records) Corpus(n int) []string {
	texts := make([]string, 0, min(n, len(d.train)))
	for _, r := range d.train[:cap(texts)] {
		c, err := d.segments(r, nil)
		if err != nil {
			break
		}
		texts = append(texts, c.text())
	}
	return texts
}

// text joins the segments.
func (c conversation) text() string {
	var b strings.Builder
	for _, s := range c.segments {
		b.WriteString(s.text)
	}
	return b.String()
}

// Notes say what was read and what was cut.
func (d *Records) Notes() []string { return d.notes }

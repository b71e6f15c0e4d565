package task

import (
	"fmt"
	"hash/fnv"
	"strings"
)

// JSONLConfig sets an engineer's own data: a file with one JSON object a line.
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
	// chosen by a hash of each prompt and SplitSeed. So records with the same prompt are in the
	// same split, and a longer file moves no record.
	ValidationShare  float64 `key:"validation_share"`
	CalibrationShare float64 `key:"calibration_share"`
	SplitSeed        uint64  `key:"split_seed"`
}

// DefaultJSONL are the settings for any file.
func DefaultJSONL(path string) JSONLConfig {
	return JSONLConfig{Path: path, Template: "{prompt}\n{response}", MaxTokens: 512, ValidationShare: 0.1, CalibrationShare: 0.1}
}

// Validate reports the first setting that cannot be.
func (c JSONLConfig) Validate() error {
	at, end := strings.Index(c.Template, "{prompt}"), strings.Index(c.Template, "{response}")
	switch {
	case c.Path == "":
		return fmt.Errorf("jsonl: path is empty, expected a file of JSON lines")
	case at < 0 || end < at || strings.Count(c.Template, "{prompt}") > 1 || strings.Count(c.Template, "{response}") > 1:
		return fmt.Errorf("jsonl: template is %q, expected {prompt} and, after it, {response}, each once", c.Template)
	case c.MaxTokens < 2:
		return fmt.Errorf("jsonl: max_tokens is %d, expected at least 2", c.MaxTokens)
	case c.Limit < 0:
		return fmt.Errorf("jsonl: limit is %d, expected 0 (all) or more", c.Limit)
	case !(c.ValidationShare > 0 && c.CalibrationShare > 0 && c.ValidationShare+c.CalibrationShare < 1):
		return fmt.Errorf("jsonl: validation_share is %v and calibration_share %v, expected both above 0 and their sum below 1", c.ValidationShare, c.CalibrationShare)
	case c.PromptField != "" && c.PromptField == c.ResponseField:
		return fmt.Errorf("jsonl: prompt_field and response_field are both %q", c.PromptField)
	}
	return nil
}

// Records are a file's records by split, as text.
type Records struct {
	cfg                            JSONLConfig
	train, validation, calibration []Record
	notes                          []string
}

// ReadJSONL reads a file. A tokenizer can be trained on its Corpus before NewJSONL turns it into
// tokens.
func ReadJSONL(cfg JSONLConfig) (*Records, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	all, use, err := readJSONLFile(cfg)
	if err != nil {
		return nil, err
	}
	d := &Records{cfg: cfg}
	for _, record := range all {
		switch at := place(record.Prompt, cfg.SplitSeed); {
		case at < cfg.ValidationShare:
			d.validation = append(d.validation, record)
		case at < cfg.ValidationShare+cfg.CalibrationShare:
			d.calibration = append(d.calibration, record)
		default:
			d.train = append(d.train, record)
		}
	}
	for _, split := range []struct {
		name    string
		records []Record
	}{{"training", d.train}, {"validation", d.validation}, {"calibration", d.calibration}} {
		if len(split.records) == 0 {
			return nil, fmt.Errorf("jsonl: %s: none of %d records fell into the %s split; expected more records with different prompts, or other shares", cfg.Path, len(all), split.name)
		}
	}
	d.notes = append(d.notes, fmt.Sprintf("%s: fields %s; %d records: %d training, %d validation, %d calibration",
		cfg.Path, use, len(all), len(d.train), len(d.validation), len(d.calibration)))
	return d, nil
}

// place puts a prompt on [0, 1).
func place(prompt string, seed uint64) float64 {
	h := fnv.New64a()
	h.Write([]byte(prompt))
	_, x := hashKeys(seed, h.Sum64())
	return float64(x>>11) / (1 << 53)
}

// parts are the text to read and the text to answer of a record.
func (d *Records) parts(r Record) (read, answer string) {
	before, after, _ := strings.Cut(d.cfg.Template, "{response}")
	head, tail, _ := strings.Cut(before, "{prompt}")
	return head + r.Prompt + tail, r.Response + after
}

// Corpus returns the texts of the first n training records.
func (d *Records) Corpus(n int) []string {
	texts := make([]string, min(n, len(d.train)))
	for i := range texts {
		read, answer := d.parts(d.train[i])
		texts[i] = read + answer
	}
	return texts
}

// Notes say what was read and what was cut.
func (d *Records) Notes() []string { return d.notes }

// JSONL is the task of an engineer's own file: to answer as its responses do.
type JSONL struct {
	*Records
	examples [3][]Example // training, validation, calibration
}

// NewJSONL reads a file and turns it into tokens. eos ends each response.
func NewJSONL(cfg JSONLConfig, enc Encoder, eos int32) (*JSONL, error) {
	d, err := ReadJSONL(cfg)
	if err != nil {
		return nil, err
	}
	return d.Tokenize(enc, eos)
}

// Tokenize turns records into tokens. The text to read and the text to answer are encoded by
// themselves, as they are when a model is asked and answers. Of an example longer than MaxTokens
// the end is cut off; one that would lose all of its answer is dropped.
func (d *Records) Tokenize(enc Encoder, eos int32) (*JSONL, error) {
	j := &JSONL{Records: d}
	cut, dropped := 0, 0
	for split, records := range [][]Record{d.train, d.validation, d.calibration} {
		for _, record := range records {
			read, answer := d.parts(record)
			tokens := enc.Encode(read)
			begin := len(tokens)
			tokens = append(append(tokens[:begin:begin], enc.Encode(answer)...), eos)
			if begin >= d.cfg.MaxTokens {
				dropped++
				continue
			}
			if len(tokens) > d.cfg.MaxTokens {
				tokens = tokens[:d.cfg.MaxTokens:d.cfg.MaxTokens]
				cut++
			}
			mask := make([]bool, len(tokens))
			// the first token of a sequence has nothing to be predicted from
			for t := max(begin, 1); t < len(mask); t++ {
				mask[t] = true
			}
			j.examples[split] = append(j.examples[split], Example{tokens, mask})
		}
		if len(j.examples[split]) == 0 {
			return nil, fmt.Errorf("jsonl: %s: every prompt of the %s split has %d tokens or more; raise max_tokens",
				d.cfg.Path, [...]string{"training", "validation", "calibration"}[split], d.cfg.MaxTokens)
		}
	}
	notes := d.notes[:len(d.notes):len(d.notes)]
	if cut > 0 {
		notes = append(notes, fmt.Sprintf("%s: %d examples were cut to max_tokens %d", d.cfg.Path, cut, d.cfg.MaxTokens))
	}
	if dropped > 0 {
		notes = append(notes, fmt.Sprintf("%s: %d examples were dropped: their prompts alone have max_tokens %d or more", d.cfg.Path, dropped, d.cfg.MaxTokens))
	}
	j.Records = &Records{d.cfg, d.train, d.validation, d.calibration, notes}
	return j, nil
}

// Train returns the i-th example of an endless pass over the training records, each epoch in
// another order.
func (j *JSONL) Train(seed uint64, i int) Example {
	return j.examples[0][shuffled(seed, i, len(j.examples[0]))]
}

// TrainSize is the number of training examples.
func (j *JSONL) TrainSize() int { return len(j.examples[0]) }

// Validation returns the first n validation examples, all for n ≤ 0.
func (j *JSONL) Validation(n int) []Example { return firstOf(j.examples[1], n) }

// Calibration returns the first n calibration examples, all for n ≤ 0. InDomain is the only source.
func (j *JSONL) Calibration(source string, n int) ([]Example, error) {
	if source != InDomain {
		return nil, fmt.Errorf("jsonl: calibration source %q: a file of records has only %q", source, InDomain)
	}
	return firstOf(j.examples[2], n), nil
}

func firstOf(examples []Example, n int) []Example {
	if n <= 0 || n > len(examples) {
		n = len(examples)
	}
	return examples[:n:n]
}

package teachercache

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/nearest"
	"slimlab/internal/wrongfile"
	"slimlab/kd"
)

// Codec says what is kept of a row.
type Codec int

const (
	Exact   Codec = iota // all logits
	TopK                 // the most likely tokens and the mass of the tail
	Sampled              // tokens drawn at random, with importance weights
)

var codecs = []string{"exact", "top-k", "sampled"}

func (c Codec) String() string {
	if c < 0 || int(c) >= len(codecs) {
		return fmt.Sprintf("codec(%d)", int(c))
	}
	return codecs[c]
}

// Spec is how rows are kept.
type Spec struct {
	Codec Codec `json:"codec"`
	K     int   `json:"k,omitempty"` // tokens of a row, of TopK
	// DropTail keeps no mass of the tail: the loss then compares the listed tokens alone, which is
	// biased. It is there to be compared with
	DropTail bool `json:"drop_tail,omitempty"`
	Draws    int  `json:"draws,omitempty"` // of a row, of Sampled
	// Power t of the distribution p^t/Σp^t that Sampled draws from, above 0, to 2; 0 is 1
	Power float64 `json:"power,omitempty"`
	Seed  uint64  `json:"seed,omitempty"` // of the draws
	// of the loss that reads the rows; 0 is 1. Exact serves every temperature and keeps 1
	Temperature float64 `json:"temperature"`
	// Whole keeps rows at every token that is predicted, not at answers alone, for losses over the
	// whole sequence
	Whole bool `json:"whole,omitempty"`
	// Tasks says that rows depend on the tasks of examples, as those of a kd.Mixture with weights
	// by task do: two of the same tokens and of other tasks have rows of their own
	Tasks bool `json:"tasks,omitempty"`
}

// String is such as "top-k 32 at temperature 1".
func (s Spec) String() string {
	s = s.filled()
	text := s.Codec.String()
	switch s.Codec {
	case TopK:
		text += fmt.Sprintf(" %d", s.K)
		if s.DropTail {
			text += " without the tail"
		}
	case Sampled:
		text += fmt.Sprintf(" %d of p^%v, seed %d", s.Draws, s.Power, s.Seed)
	}
	if s.Codec != Exact {
		text += fmt.Sprintf(" at temperature %v", s.Temperature)
	}
	if s.Whole {
		text += ", every token"
	}
	if s.Tasks {
		text += ", by task"
	}
	return text
}

// ParseCodec reads a codec with its number, such as "exact", "top-k:12" or "sampled:50".
func ParseCodec(text string) (s Spec, err error) {
	name, number, has := strings.Cut(text, ":")
	if err := nearest.Check("codec", name, codecs); err != nil {
		return s, err
	}
	s.Codec = Codec(slices.Index(codecs, name))
	if has != (s.Codec != Exact) {
		return s, fmt.Errorf("codec %q, expected exact, top-k:K with the tokens of a row, or sampled:N with its draws", text)
	}
	if has {
		n, err := strconv.Atoi(number)
		if err != nil {
			return s, fmt.Errorf("codec %q, expected a whole number after the colon, as in %s:12", text, name)
		}
		if s.Codec == TopK {
			s.K = n
		} else {
			s.Draws = n
		}
	}
	return s, s.Validate()
}

// CheckObjective reports why rows that are kept so cannot serve a loss: one at another temperature,
// one that samples of a teacher do not serve, or one on answers that the student draws as it
// learns.
func (s Spec) CheckObjective(o kd.Objective) error {
	s = s.filled()
	switch {
	case o.Sampled():
		return fmt.Errorf("loss %s is on answers that the student draws as it learns, which no file can have: name the teacher itself", o)
	case o.Sequence > 0 && o.SequenceLoss == kd.SequenceMixture && !s.Whole:
		return errors.New("the divergence over whole sequences needs rows at every token, and it has those of answers: build it over whole sequences")
	case s.Codec == Exact:
		return nil
	}
	if err := o.CheckLists(s.rest(), s.Temperature); err != nil {
		return fmt.Errorf("%w: build it with codec exact, or for this loss", err)
	}
	return nil
}

// filled has the defaults, and zeros in what the codec does not read.
func (s Spec) filled() Spec {
	f := Spec{Codec: s.Codec, Whole: s.Whole, Tasks: s.Tasks, Temperature: s.Temperature}
	if f.Temperature == 0 || s.Codec == Exact {
		f.Temperature = 1
	}
	switch s.Codec {
	case TopK:
		f.K, f.DropTail = s.K, s.DropTail
	case Sampled:
		f.Draws, f.Power, f.Seed = s.Draws, s.Power, s.Seed
		if f.Power == 0 {
			f.Power = 1
		}
	}
	return f
}

// maxDraws bounds the draws of a row, so that their count fits in what reads it.
const maxDraws = 1 << 16

// Validate reports the first field that has no meaning.
func (s Spec) Validate() error {
	f := s.filled()
	switch {
	case s.Codec < Exact || s.Codec > Sampled:
		return fmt.Errorf("unknown %v", s.Codec)
	case !(f.Temperature > 0) || math.IsInf(f.Temperature, 0):
		return fmt.Errorf("temperature %v, expected a finite number above 0", s.Temperature)
	case s.Codec == TopK && s.K < 1:
		return fmt.Errorf("top-k of %d tokens, expected at least 1", s.K)
	case s.Codec == Sampled && (s.Draws < 1 || s.Draws > maxDraws):
		return fmt.Errorf("%d draws of a row, expected 1 to %d", s.Draws, maxDraws)
	case s.Codec == Sampled && !(f.Power > 0 && f.Power <= 2):
		return fmt.Errorf("power %v of the distribution that is drawn from, expected above 0, to 2", s.Power)
	}
	return nil
}

// Source is what rows depend on beside the examples. Hashes are any text that differs where the
// thing differs; "" is none.
type Source struct {
	Teacher   string `json:"teacher"`
	Tokenizer string `json:"tokenizer"`
	Template  string `json:"template"` // of chats
	Task      string `json:"task"`
	// tokens that rows are over: those that teacher and student share
	Vocab int `json:"vocab"`
}

// Header says what a cache holds.
type Header struct {
	Spec
	Source
	// Shift is 1: the row of token t is that of the logits at t−1
	Shift     int    `json:"shift"`
	Positions int    `json:"positions"` // of the teacher; 0 is without a bound
	Examples  int    `json:"examples"`  // different ones
	Tokens    int    `json:"tokens"`    // rows
	Order     string `json:"order"`     // a hash of the examples' keys
}

var (
	// ErrDamaged is in the error of a file that is no whole cache.
	ErrDamaged = errors.New("the cache is damaged")
	// ErrStale is in the error of a cache of something else.
	ErrStale = errors.New("the cache is of something else")
	// ErrMissing is in the error of an example that the cache does not have.
	ErrMissing = errors.New("not in the cache")
)

const (
	magic      = "SLKDTCH1"
	endMagic   = "SLKDTEND"
	version    = 1
	headStart  = len(magic) + 8 // magic, version, length
	maxHeader  = 1 << 20
	footerSize = 8 + 8 + len(endMagic) + 4
	keySize    = 16
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func withChecksum(data []byte) []byte {
	return binary.LittleEndian.AppendUint32(data, crc32.Checksum(data, castagnoli))
}

// checked returns data without its checksum.
func checked(data []byte) (_ []byte, ok bool) {
	n := len(data) - 4
	if n < 0 || crc32.Checksum(data[:n], castagnoli) != binary.LittleEndian.Uint32(data[n:]) {
		return nil, false
	}
	return data[:n], true
}

func (h *Header) encode() ([]byte, error) {
	text, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	if len(text) > maxHeader {
		return nil, fmt.Errorf("a header of %d bytes, expected at most %d: shorter hashes", len(text), maxHeader)
	}
	data := binary.LittleEndian.AppendUint32([]byte(magic), version)
	data = binary.LittleEndian.AppendUint32(data, uint32(len(text)))
	return withChecksum(append(data, text...)), nil
}

// readHeader reads the header of a file and returns its size there.
func readHeader(r io.ReaderAt, size int64) (h Header, length int64, err error) {
	start := make([]byte, min(size, max(int64(headStart), wrongfile.Head)))
	if err := readAt(r, start, 0); err != nil {
		return h, 0, err
	}
	if len(start) < headStart || string(start[:len(magic)]) != magic {
		if what := wrongfile.Name(start); what != "" {
			return h, 0, fmt.Errorf("%w: it is %s", ErrDamaged, what)
		}
		return h, 0, fmt.Errorf("%w: it begins with %q, expected %q", ErrDamaged, start[:min(len(start), len(magic))], magic)
	}
	v, n := binary.LittleEndian.Uint32(start[len(magic):]), binary.LittleEndian.Uint32(start[len(magic)+4:])
	length = int64(headStart) + int64(n) + 4
	if n > maxHeader || length > size {
		return h, 0, fmt.Errorf("%w: its header would have %d bytes, of %d of the file", ErrDamaged, n, size)
	}
	data := make([]byte, length)
	if err := readAt(r, data, 0); err != nil {
		return h, 0, err
	}
	data, ok := checked(data)
	if !ok {
		return h, 0, fmt.Errorf("%w: its header does not fit its checksum", ErrDamaged)
	}
	if v != version {
		return h, 0, fmt.Errorf("version %d of the cache's format, this program reads %d: build the cache again", v, version)
	}
	d := json.NewDecoder(bytes.NewReader(data[headStart:]))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); err != nil {
		return h, 0, fmt.Errorf("%w: header: %w", ErrDamaged, err)
	}
	return h, length, h.check()
}

func (h *Header) check() error {
	if err := h.Spec.Validate(); err != nil {
		return fmt.Errorf("%w: header: %w", ErrDamaged, err)
	}
	if h.Spec != h.Spec.filled() || h.Vocab < 1 || h.Vocab > math.MaxInt32 || h.Examples < 0 || h.Tokens < 0 || h.Positions < 0 || h.Shift != 1 {
		return fmt.Errorf("%w: header: numbers outside their range", ErrDamaged)
	}
	return nil
}

// stale reports how a cache differs from what is wanted.
func (h *Header) stale(spec Spec, source Source) error {
	var list []string
	differ := func(what string, has, want any) {
		if has != want {
			list = append(list, fmt.Sprintf("%s: the cache has %v, this run %v", what, shown(has), shown(want)))
		}
	}
	differ("teacher", h.Teacher, source.Teacher)
	differ("tokenizer", h.Tokenizer, source.Tokenizer)
	differ("chat template", h.Template, source.Template)
	differ("task", h.Task, source.Task)
	differ("vocabulary", h.Vocab, source.Vocab)
	if h.Spec != spec.filled() {
		differ("codec", h.Spec.String(), spec.String())
	}
	if list == nil {
		return nil
	}
	return fmt.Errorf("%w: %s: build it again, or name the file of this teacher", ErrStale, strings.Join(list, "; "))
}

// shown is a value of a header in an error: a hash by its beginning.
func shown(v any) any {
	s, ok := v.(string)
	switch {
	case !ok:
		return v
	case s == "":
		return "none"
	case len(s) > 40 && !strings.Contains(s, " "):
		return s[:16] + "…"
	}
	return s
}

// readAt fills data.
func readAt(r io.ReaderAt, data []byte, at int64) error {
	n, err := r.ReadAt(data, at)
	switch {
	case n == len(data):
		return nil
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it ends at byte %d, expected at least %d", ErrDamaged, at+int64(n), at+int64(len(data)))
	}
	return err
}

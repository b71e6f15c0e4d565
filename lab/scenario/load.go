package scenario

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"unicode"

	"slimlab/internal/nearest"
	"slimlab/lab"
)

// Options are what a command line adds to a scenario.
type Options struct {
	Vocabulary Vocabulary
	Set        []string // key=value, applied in order, after Quick
	Quick      bool     // apply the overrides of the section quick
	Seeds      int      // seeds per point; 0 is the number in the file
	Seed       *int     // the first seed; nil is 1
}

// ErrNotFound is the error of a scenario that does not exist.
var ErrNotFound = errors.New("no such scenario")

// notFound is an ErrNotFound in words of its own.
type notFound struct{ error }

func (notFound) Is(target error) bool { return target == ErrNotFound }

// maxCells guards against typos in sweeps.
const maxCells = 10_000

// Load reads a scenario of fsys by its name: "figure1" opens figure1.yaml.
func Load(name string, fsys fs.FS, o Options) (*Scenario, error) {
	text, err := Text(name, fsys)
	if err != nil {
		return nil, err
	}
	return Parse(fileOf(name), text, o)
}

func fileOf(name string) string {
	file := path.Clean(name)
	if ext := path.Ext(file); ext != ".yaml" && ext != ".yml" {
		file += ".yaml"
	}
	return file
}

// Text returns the file of a scenario of fsys as it is.
func Text(name string, fsys fs.FS) ([]byte, error) {
	f, err := fsys.Open(fileOf(name))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
			entries, _ := List(fsys)
			var names []string
			for _, e := range entries {
				names = append(names, e.Name)
			}
			return nil, notFound{nearest.Unknown("unknown scenario", name, names)}
		}
		return nil, fmt.Errorf("scenario %s: %w", name, err)
	}
	defer f.Close()
	return read(name, f)
}

// LoadFile reads a scenario from a file on disk.
func LoadFile(file string, o Options) (*Scenario, error) {
	f, err := os.Open(file)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("scenario file %s: %w", file, ErrNotFound)
		}
		return nil, fmt.Errorf("scenario: %w", err)
	}
	defer f.Close()
	text, err := read(file, f)
	if err != nil {
		return nil, err
	}
	return Parse(file, text, o)
}

// read reads one byte more than Parse accepts, no matter how long the file is.
func read(name string, r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("scenario %s: %w", name, err)
	}
	return text, nil
}

// Parse reads a scenario from its text. file names it in errors.
func Parse(file string, text []byte, o Options) (*Scenario, error) {
	root, err := parse(file, text)
	if err != nil {
		return nil, err
	}
	if root.shape != mapping {
		return nil, fmt.Errorf("%s: the file is %s, expected a mapping with the keys %s", root.at, root.describe(), strings.Join(sectionNames(), ", "))
	}
	s, err := build(file, root, o)
	if err != nil {
		return nil, err
	}
	// an error in the overrides should not wait for the first --quick
	if root.get("quick") != nil && !o.Quick && len(o.Set) == 0 {
		o.Quick = true
		if _, err := build(file, root, o); err != nil {
			return nil, fmt.Errorf("with the section quick: %w", err)
		}
	}
	s.Source = string(text)
	return s, nil
}

// build makes the scenario of a tree under the options.
func build(file string, root *node, o Options) (*Scenario, error) {
	whole := root
	root, err := adjusted(root, o)
	if err != nil {
		return nil, err
	}
	b := &builder{
		decoder: decoder{o.Vocabulary, &problems{}}, root: root,
		scenario: &Scenario{File: file, Quick: o.Quick, Settings: slices.Clone(o.Set), Paper: map[string]float64{}},
	}
	b.sections()
	b.axes()
	if err := b.bad.err(); err != nil { // later problems would repeat these
		return nil, err
	}
	b.header(o)
	b.points()
	if err := b.bad.err(); err != nil {
		return nil, err
	}
	b.results()
	if n := whole.get("expect"); n != nil && len(n.items) > 0 {
		b.scenario.Unjudged = o.Quick && len(b.scenario.Expect) == 0
	}
	b.scenario.params = b.root.get("params").names()
	b.unused()
	return b.scenario, b.bad.err()
}

// adjusted applies the overrides of quick and the settings to a copy of the tree.
func adjusted(root *node, o Options) (*node, error) {
	out := root.clone()
	if quick := root.get("quick"); quick != nil && o.Quick {
		if quick.get("quick") != nil {
			return nil, fmt.Errorf("%s: quick contains the key quick", quick.at)
		}
		if quick.shape != mapping {
			return nil, fmt.Errorf("%s: quick is %s, expected a mapping", quick.at, quick.describe())
		}
		merged, err := merge(out, quick)
		if err != nil {
			return nil, err
		}
		out = merged
	}
	for _, setting := range o.Set {
		if err := override(out, setting); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// builder builds a scenario from a tree.
type builder struct {
	decoder
	root     *node
	scenario *Scenario
	params   values             // of the header, without axes
	axisNode map[string][]*node // values of each axis
	rows     []string           // of the first point
	uses     map[string]bool    // names of models that some step uses
	used     map[string]bool    // params and axes that some text uses
}

func (b *builder) sections() {
	for i, key := range b.root.keys {
		if !slices.Contains(sectionNames(), key) {
			b.bad.add(b.root.keyAt[i], "%v", nearest.Unknown("unknown key", key, sectionNames()))
		}
	}
	for _, key := range []string{"pipeline"} {
		if b.root.get(key) == nil {
			b.bad.add(b.root.at, "the key %q is missing", key)
		}
	}
}

// header decodes the keys that do not depend on the sweep.
func (b *builder) header(o Options) {
	s := b.scenario
	plain := &node{at: b.root.at, shape: mapping}
	for _, key := range []string{"name", "about", "baseline", "seeds"} {
		if n := b.root.get(key); n != nil {
			plain.set(key, n.at, b.params.substitute(n, b.bad))
		}
	}
	var h header
	b.into(plain, "the scenario", &h)
	s.Name, s.About, s.Baseline = h.Name, h.About, h.Baseline
	if s.Name == "" {
		s.Name = strings.TrimSuffix(strings.TrimSuffix(s.File, ".yaml"), ".yml")
	} else if len(s.Name) > maxName {
		b.bad.add(plain.get("name").at, "the scenario's name has %d bytes, expected at most %d", len(s.Name), maxName)
	}
	for _, r := range s.Name {
		if !unicode.IsPrint(r) {
			b.bad.add(b.root.placeOf("name"), "the scenario's name %q has the character %U, which cannot be printed, expected letters, digits, signs and spaces", s.Name, r)
			break
		}
	}
	b.seeds(h.Seeds, o)
}

// axes reads params and sweep.
func (b *builder) axes() {
	b.used, b.uses, b.axisNode = map[string]bool{}, map[string]bool{}, map[string][]*node{}
	b.params = values{of: map[string]*node{}, used: b.used, bar: map[string]string{}}
	if params := b.section("params"); params != nil {
		for i, key := range params.keys {
			b.checkAxisName(key, params.keyAt[i])
			if value := params.items[i]; value.shape != scalar {
				b.bad.add(value.at, "param %q is %s, expected one value", key, value.describe())
			} else {
				b.params.of[key] = value
				b.params.names = append(b.params.names, key)
			}
		}
	}
	sweep := b.section("sweep")
	if sweep == nil {
		return
	}
	if len(sweep.keys) == 0 {
		b.bad.add(sweep.at, "the sweep names no axis; leave it out or give it one, such as loss: [fkl, rkl]")
	}
	for i, key := range sweep.keys {
		b.checkAxisName(key, sweep.keyAt[i])
		b.axis(key, sweep.items[i])
	}
}

func (b *builder) axis(key string, n *node) {
	if n.shape != list || len(n.items) == 0 {
		found := n.describe()
		if n.shape == list {
			found = "an empty list"
		}
		b.bad.add(n.at, "axis %q is %s, expected a list of values", key, found)
		return
	}
	axis := Axis{Key: key}
	for _, value := range n.items {
		if value.shape != scalar {
			b.bad.add(value.at, "axis %q holds %s, expected single values", key, value.describe())
			return
		}
		if strings.Contains(value.text, "${") {
			b.bad.add(value.at, "axis %q refers to ${…}, expected plain values", key)
		}
		if slices.Contains(axis.Values, value.text) {
			b.bad.add(value.at, "axis %q has the value %q twice", key, value.text)
		}
		axis.Values = append(axis.Values, value.text)
	}
	b.axisNode[key] = n.items
	b.scenario.Axes = append(b.scenario.Axes, axis)
	b.params.bar[key] = "is an axis of the sweep and cannot be used here: this is the same for all cells"
	if !slices.Contains(b.params.names, key) {
		b.params.names = append(b.params.names, key)
	}
}

func (b *builder) checkAxisName(key string, at place) {
	if key == "row" || key == "seed" {
		b.bad.add(at, "an axis or param cannot be called %q: expectations use the word", key)
	}
	if key == "" || strings.ContainsAny(key, " \t\n=,(){}$\"'") {
		b.bad.add(at, "%q cannot name an axis or param: expected letters, digits, _ and -", key)
	}
}

// section returns a top-level mapping, or nil.
func (b *builder) section(key string) *node {
	n := b.root.get(key)
	if n == nil || n.shape == mapping {
		return n
	}
	if n.shape == null {
		return &node{at: n.at, shape: mapping}
	}
	b.bad.add(n.at, "%s is %s, expected a mapping", key, n.describe())
	return nil
}

// points decodes the scenario at each point of the sweep.
func (b *builder) points() {
	total := 1
	for _, a := range b.scenario.Axes {
		total *= len(a.Values)
		if cells := total * len(b.scenario.Seeds); cells > maxCells {
			b.bad.add(b.root.get("sweep").at, "the sweep has more than %d cells: the values of its axes, and %d seeds, multiplied", maxCells, len(b.scenario.Seeds))
			return
		}
	}
	for i := range total {
		at := values{names: b.params.names, of: map[string]*node{}, used: b.used}
		for key, value := range b.params.of {
			at.of[key] = value
		}
		params, rest := make([]lab.Param, len(b.scenario.Axes)), i
		for k := len(params) - 1; k >= 0; k-- {
			a := b.scenario.Axes[k]
			value := b.axisNode[a.Key][rest%len(a.Values)]
			rest /= len(a.Values)
			params[k] = lab.Param{Key: a.Key, Value: value.text}
			at.of[a.Key] = value
		}
		b.scenario.Points = append(b.scenario.Points, b.point(params, &at))
		if i == 0 {
			b.rememberPlaces(&at)
		}
		if len(b.bad.all) >= maxProblems {
			return
		}
	}
}

// unused reports models, params and axes without effect.
func (b *builder) unused() {
	if len(b.bad.all) > 0 {
		return
	}
	for i, key := range b.root.get("sweep").names() {
		if !b.used[key] {
			b.bad.add(b.root.get("sweep").keyAt[i], "axis %q changes nothing: no text uses ${%s}", key, key)
		}
	}
	for i, key := range b.root.get("params").names() {
		if !b.used[key] {
			b.bad.add(b.root.get("params").keyAt[i], "param %q changes nothing: no text uses ${%s}", key, key)
		}
	}
	for i, key := range b.root.get("models").names() {
		if !b.uses[key] {
			b.bad.add(b.root.get("models").keyAt[i], "no step uses the model %q", key)
		}
	}
}

// Entry is one line of a list of scenarios.
type Entry struct {
	Name  string // what Load takes
	About string
	Err   error // why it cannot be read
}

// List returns the scenarios of fsys in order of name.
func List(fsys fs.FS) ([]Entry, error) {
	var entries []Entry
	err := fs.WalkDir(fsys, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ext := path.Ext(file); d.IsDir() || ext != ".yaml" && ext != ".yml" {
			return nil
		}
		e := Entry{Name: strings.TrimSuffix(file, ".yaml")}
		text, err := fs.ReadFile(fsys, file)
		if err == nil {
			var root *node
			if root, err = parse(file, text); err == nil {
				if about := root.get("about"); about != nil {
					e.About = about.text
				}
			}
		}
		e.Err = err
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("scenarios: %w", err)
	}
	return entries, nil
}

package scenario

import (
	"reflect"
	"slices"

	"slimlab/lab"
)

// Kind is a kind of step: all that scenario files, their schema and their reference need of it. The
// caller passes the table of kinds in the Vocabulary.
type Kind struct {
	Name  string // its key in a pipeline
	About string // one line
	Loads bool   // the step takes a loaded model as it is and has no key from
	// Alone says that the step makes no model: it has no key from, none starts from it, and a
	// scenario of such steps needs no task.
	Alone bool
	New   func() Work
}

// Work is what a step does: a pointer to a struct whose tagged fields are its keys in a file.
type Work interface {
	// Describe says in one line what the step does to the model named from.
	Describe(from string) string
}

// Packer is implemented by work that can leave quantized weights, from which no step can start.
type Packer interface{ Packs() bool }

// Checker is implemented by work whose keys can contradict each other though each is in its range.
// Check calls bad for every key that cannot be, with the key that it contradicts, empty for none;
// the text goes on from "step NAME's KEY ". given says which keys the file has; Check may set the
// others by what they follow from.
type Checker interface {
	Check(given func(key string) bool, bad func(key, with, format string, args ...any))
}

// Idler is implemented by work of which a key that the file has can be without effect beside the
// values of others. Idle calls idle for each such key, with the keys whose values are why; it is
// called after Check. It is a fault where the file writes those values into the step, or leaves
// them out: what a param, an axis or an override sets has other values, with which the key matters.
type Idler interface {
	Idle(given func(key string) bool, idle func(key string, because []string, format string, args ...any))
}

// TaskChecker is implemented by work with keys that are of some tasks alone. CheckTask calls bad
// for each that is not of the point's, before Check is called: what is wrong with its value is then
// no news.
type TaskChecker interface {
	CheckTask(kind string, bad func(key, format string, args ...any))
}

// Replacer is implemented by work of which some settings are not used, since it goes over others in
// their place: a search over numbers of a training. Replaced has those by their keys.
type Replacer interface{ Replaced() map[string]string }

// Vocabulary is what exists: the kinds of steps, the names that fields can have, and what a run
// measures.
type Vocabulary struct {
	Kinds []Kind
	Names map[string][]Name // by the list's name, as in a field's tag names
	// Unmeasured says why a run of a point never measures a metric for a step, and what would have
	// it measured; "" where it does. nil is no knowledge of it.
	Unmeasured func(p *Point, s Step, m lab.Metric) string
}

// Pretrained is the list of names of models that can be loaded as pretrained:NAME.
const Pretrained = "pretrained"

// Name is one value that a text can have.
type Name struct {
	Name      string
	Parameter string // a number in (0, 1) that follows the name after a colon; empty for none
	Unbounded bool   // the parameter is any number above 0
	Ending    string // after which a whole number may follow the name, such as "-g"; empty for none
	// a word that may stand for that number; empty for none
	EndingWord string
	Formula    string // of a loss
	About      string // one line
}

// spelling is how the name begins in a file: "fkl", or "jsd:" for a name with a parameter.
func (n Name) spelling() string {
	if n.Parameter != "" {
		return n.Name + ":"
	}
	return n.Name
}

func (v Vocabulary) kind(name string) (k Kind, ok bool) {
	i := slices.IndexFunc(v.Kinds, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return Kind{}, false
	}
	return v.Kinds[i], true
}

func (v Vocabulary) kindNames() []string {
	names := make([]string, len(v.Kinds))
	for i, k := range v.Kinds {
		names[i] = k.Name
	}
	return names
}

// spellings lists the names of a list.
func (v Vocabulary) spellings(list string) []string {
	names := make([]string, len(v.Names[list]))
	for i, n := range v.Names[list] {
		names[i] = n.spelling()
	}
	return names
}

// Knows reports whether a name is one of a list, with its parameter or ending.
func (v Vocabulary) Knows(list, name string) bool { return checkName(name, v.Names[list]) == nil }

// The references of a work's fields, as in their tag ref.
const (
	refWeights  = "weights"  // a model with weights: a loaded one, or an earlier step
	refWeighted = "weighted" // lists of such; see ParseWeightings
	refStart    = "start"    // a model to train, also a shape
)

// reference is a field that names a model or a step; of lists of weights task is whose list does.
type reference struct{ key, kind, name, task string }

// references lists the references of a step's work, in order of its fields.
func references(w Work) []reference {
	v := reflect.ValueOf(w).Elem()
	var all []reference
	for _, f := range structFields(v.Type()) {
		kind, ok := f.Tag.Lookup("ref")
		if !ok {
			continue
		}
		key, text := f.Tag.Get("key"), v.FieldByIndex(f.Index).String()
		if kind != refWeighted {
			all = append(all, reference{key: key, kind: kind, name: text})
			continue
		}
		lists, _ := ParseWeightings(text) // the decoder reports what is no list
		for _, list := range lists {
			for _, w := range list.Weights {
				if !slices.ContainsFunc(all, func(r reference) bool { return r.key == key && r.name == w.Name }) {
					all = append(all, reference{key, kind, w.Name, list.Task})
				}
			}
		}
	}
	return all
}

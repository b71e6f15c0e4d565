package scenario

// The structs of this file are the schema of a scenario. Their tags say, for each field:
//
//	key       its name in the file
//	doc       what it means
//	default   the value where the file is silent, as YAML
//	required  "true" when the file must have it
//	min, max  bounds that a number may reach; above, below: bounds that it may not
//	one       the values that a text may have, separated by |
//	names     the list of the Vocabulary that a text is taken from
//	ref       what a text refers to: "model", "shape", "weights"; such fields are inputs and no part of a step's Recipe

// Task is what a model is trained for and measured on. The kind decides which other fields are
// read.
type Task struct {
	Kind   string  `json:"kind"`
	Recsys *Recsys `json:"recsys,omitempty"`
	JSONL  *JSONL  `json:"jsonl,omitempty"`
}

// Recsys is the ranking world with known click probabilities.
type Recsys struct {
	Kind       string `key:"kind" one:"recsys" required:"true" doc:"recsys: the ranking world with a known truth" json:"-"`
	Members    int    `key:"members" default:"400" min:"1" max:"1000000" doc:"members of the test set"`
	Candidates int    `key:"candidates" default:"4" min:"1" max:"1000" doc:"candidates that each member of the test set is asked about, per task"`
	World      int    `key:"world" default:"1" min:"0" doc:"seed of the world: its archetypes, members and clicks"`
}

// JSONL is a file of prompts and responses, one JSON object a line.
type JSONL struct {
	Kind          string  `key:"kind" one:"jsonl" required:"true" doc:"jsonl: your own file of prompts and responses" json:"-"`
	Path          string  `key:"path" required:"true" doc:"the file, relative to the working directory"`
	PromptField   string  `key:"prompt_field" doc:"name of the field that holds the prompt; default: found among the usual names in the first line"`
	ResponseField string  `key:"response_field" doc:"name of the field that holds the response; default: found likewise"`
	Limit         int     `key:"limit" default:"0" min:"0" doc:"records to read; 0 is all"`
	MaxTokens     int     `key:"max_tokens" default:"256" min:"8" max:"131072" doc:"examples are cut to this many tokens"`
	Validation    float64 `key:"validation" default:"0.1" above:"0" below:"1" doc:"share of the examples that is held out for validation"`
}

// Tokenizer is trained on the task's text when no loaded model brings one.
type Tokenizer struct {
	Vocab int `key:"vocab" default:"2048" min:"257" max:"1048576" doc:"size of the vocabulary, the 256 bytes included"`
}

// Model is a named model: loaded, or a shape that a step fills with fresh weights.
type Model struct {
	Name string `json:"-"`
	// Load is a MODEL: a Hugging Face folder, pretrained:NAME or run:ID/ROW. Empty for a fresh
	// shape.
	Load      string  `key:"load" doc:"a Hugging Face folder, a GGUF file, pretrained:NAME or run:ID/ROW; then no other field is read"`
	Layers    int     `key:"layers" min:"1" max:"4096" doc:"number of layers"`
	Hidden    int     `key:"hidden" min:"1" max:"1048576" doc:"width of the residual stream"`
	Heads     int     `key:"heads" min:"1" max:"16384" doc:"query heads"`
	KVHeads   int     `key:"kv_heads" min:"1" max:"16384" doc:"key and value heads, a divisor of heads; default: heads"`
	HeadDim   int     `key:"head_dim" min:"2" max:"4096" doc:"width of a head, even; default: hidden / heads"`
	MLP       int     `key:"mlp" min:"1" max:"1048576" doc:"MLP neurons; default: 8/3 of hidden, rounded up to a multiple of 8"`
	Tied      bool    `key:"tied" default:"true" doc:"the output head is the embedding"`
	RopeTheta float64 `key:"rope_theta" default:"10000" above:"0" doc:"base of the rotary positions"`
}

// Fresh says whether the model is a shape without weights.
func (m Model) Fresh() bool { return m.Load == "" }

// Calibration says which text a method looks at before it prunes or quantizes.
type Calibration struct {
	Source  string `key:"source" default:"in-domain" names:"sources" doc:"where the text comes from"`
	Samples int    `key:"samples" default:"512" min:"1" max:"1000000" doc:"number of sequences"`
}

// Work is what a step does: *Baseline, *Train, *Distil, *Prune or *Quantize.
type Work interface{ kind() string }

// Baseline measures a loaded model as it is.
type Baseline struct {
	Model string `key:"model" ref:"weights" required:"true" doc:"the loaded model"`
}

// Training is what supervised training and distillation have in common.
type Training struct {
	Into            string  `key:"into" ref:"model" doc:"the model to train: a shape gets fresh weights from the cell's seed. Instead of from"`
	Sequence        float64 `key:"sequence" default:"0.05" min:"0" max:"1" doc:"weight of the loss over the whole sequence; the rest is on answer tokens"`
	Steps           int     `key:"steps" required:"true" min:"1" max:"100000000" doc:"optimizer steps"`
	Batch           int     `key:"batch" default:"16" min:"1" max:"65536" doc:"sequences a step"`
	LearningRate    float64 `key:"learning_rate" default:"1e-3" above:"0" max:"1" doc:"peak learning rate"`
	MinLearningRate float64 `key:"min_learning_rate" default:"0.1" min:"0" max:"1" doc:"where the cosine decay ends, as a share of the peak"`
	Warmup          int     `key:"warmup" default:"0" min:"0" max:"100000000" doc:"steps of linear warm-up"`
	WeightDecay     float64 `key:"weight_decay" default:"0.01" min:"0" max:"1" doc:"decoupled weight decay, not on norms"`
	Clip            float64 `key:"clip" default:"1" min:"0" doc:"largest norm of the gradient; 0 does not clip"`
	Precision       string  `key:"precision" default:"float32" one:"float32|bfloat16" doc:"what the operands of products are rounded to; weights and gradients are kept in float32 either way"`
	Checkpoint      bool    `key:"checkpoint" default:"false" doc:"compute activations again on the way back instead of keeping them: less memory, more time, the same weights"`
	Data            int     `key:"data" default:"0" min:"0" doc:"number of different labelled examples; 0 is all, in a world without end"`
	Every           int     `key:"every" default:"0" min:"0" doc:"steps between two looks at the validation loss; 0 is a twentieth of the steps"`
}

// Train is supervised fine-tuning, or training from scratch.
type Train struct {
	Training
}

// Distil trains against a teacher's distributions.
type Distil struct {
	Training
	Teacher     string  `key:"teacher" ref:"weights" required:"true" doc:"the model to learn from: a loaded model or a step before"`
	Loss        string  `key:"loss" default:"fkl" names:"losses" doc:"divergence from the teacher"`
	CE          float64 `key:"ce" default:"0.1" min:"0" max:"1" doc:"share of cross-entropy with the labels in the loss on answer tokens"`
	Temperature float64 `key:"temperature" default:"1" above:"0" max:"100" doc:"softens both distributions"`
}

// Prune removes MLP neurons and attention heads.
type Prune struct {
	Method      string      `key:"method" default:"osscar" names:"methods" doc:"how the units are chosen and the rest is updated"`
	MLP         float64     `key:"mlp" default:"0" min:"0" below:"1" doc:"share of each layer's MLP neurons to remove"`
	Heads       float64     `key:"heads" default:"0" min:"0" below:"1" doc:"share of each layer's key-value heads, with their queries, to remove"`
	Align       int         `key:"align" default:"1" min:"1" max:"4096" doc:"the kept number of neurons is rounded up to a multiple of this"`
	Calibration Calibration `key:"calibration" doc:"what the method looks at"`
}

// Quantize stores the weights in fewer bits.
type Quantize struct {
	Scheme      string      `key:"scheme" required:"true" names:"schemes" doc:"format and method"`
	Group       int         `key:"group" default:"32" min:"1" max:"65536" doc:"inputs that share a scale, where the scheme has groups"`
	Calibration Calibration `key:"calibration" doc:"what the scheme looks at, where it does"`
}

func (*Baseline) kind() string { return "baseline" }
func (*Train) kind() string    { return "train" }
func (*Distil) kind() string   { return "distil" }
func (*Prune) kind() string    { return "prune" }
func (*Quantize) kind() string { return "quantize" }

// newWork returns an empty step of a kind; nil for an unknown one.
func newWork(kind string) Work {
	switch kind {
	case "baseline":
		return &Baseline{}
	case "train":
		return &Train{}
	case "distil":
		return &Distil{}
	case "prune":
		return &Prune{}
	case "quantize":
		return &Quantize{}
	}
	return nil
}

var stepKinds = []string{"baseline", "train", "distil", "prune", "quantize"}

// Evaluate says how well each step's model is measured.
type Evaluate struct {
	Validation int `key:"validation" default:"256" min:"1" max:"1000000" doc:"validation sequences, at most what the task has"`
}

// Serve is the ranking workload that each step's model is put under.
type Serve struct {
	Workload   string `key:"workload" default:"ranking" names:"workloads" doc:"kind of workload"`
	Members    int    `key:"members" default:"20" min:"1" max:"1000000" doc:"members, one after another"`
	Candidates int    `key:"candidates" default:"4" min:"1" max:"10000" doc:"prompts a member: the first finds nothing cached, the others its prefix"`
}

// header is what does not depend on the sweep.
type header struct {
	Name     string `key:"name" doc:"the scenario's name; default: the file's"`
	About    string `key:"about" doc:"one line: what it shows"`
	Baseline string `key:"baseline" doc:"the row that deltas refer to; default: the first"`
	Seeds    int    `key:"seeds" default:"1" min:"1" max:"1000" doc:"seeds a point of the sweep"`
}

// section is one top-level key of a scenario.
type section struct {
	key, doc string
}

// sections lists the top-level keys, in the order in which they read best.
var sections = []section{
	{"name", "the scenario's name; default: the file's"},
	{"about", "one line: what it shows"},
	{"task", "what the models are trained for and measured on"},
	{"tokenizer", "trained on the task's text when no loaded model brings one"},
	{"models", "named models: loaded, or fresh shapes"},
	{"pipeline", "steps, each of which yields a model and a row under its name"},
	{"evaluate", "how well each step's model is measured"},
	{"serve", "the workload that each step's model is put under; without it there are no serving columns"},
	{"baseline", "the row that deltas refer to; default: the first"},
	{"sweep", "axes: each a list of values that ${axis} takes"},
	{"params", "values that ${name} has where no axis gives one"},
	{"seeds", "seeds a point of the sweep"},
	{"quick", "laid over the file by --quick"},
	{"columns", "metrics of the table, in order; default: all that were measured"},
	{"expect", "expectations: comparisons of metric(row=…, axis=…) with numbers or with one another"},
	{"paper", "the paper's figure for a row, in per cent relative to the baseline"},
}

func sectionNames() []string {
	names := make([]string, len(sections))
	for i, s := range sections {
		names[i] = s.key
	}
	return names
}

package scenario

// The structs of this file, and those of the kinds of steps, are the schema of a scenario. The tags
// of a field are:
//
//	key       its name in the file and in recipes; "-" for a field that is in neither
//	doc       what it means
//	default   its value where the file has none, as YAML
//	required  "true" when the file must have it
//	any       a reason: of the fields with the same one, the file must have one
//	min, max  inclusive bounds of a number; above, below: exclusive bounds
//	one       the values of a text, separated by |
//	list      what stands between the parts of a text, which may be a list in the file too
//	names     the list of the Vocabulary that a text is from
//	ref       what a text refers to, which makes it an input and no part of a recipe:
//	          "weights"  a loaded model or an earlier step
//	          "start"    the model to start from, instead of the key from

// Task is what a model is trained for and measured on. Its kind decides which other fields it has.
type Task struct {
	Kind      string     `json:"kind"`
	Recsys    *Recsys    `json:"recsys,omitempty"`
	Reasoning *Reasoning `json:"reasoning,omitempty"`
	JSONL     *JSONL     `json:"jsonl,omitempty"`
	Ratings   *Ratings   `json:"ratings,omitempty"`
	Text      *Passage   `json:"text,omitempty"`
}

// Recsys is the ranking world with known click probabilities.
type Recsys struct {
	Kind       string `key:"kind" one:"recsys" required:"true" doc:"recsys: the ranking world with a known truth" json:"-"`
	Members    int    `key:"members" default:"400" min:"2" max:"1000000" doc:"members of the test set"`
	Candidates int    `key:"candidates" default:"4" min:"1" max:"1000" doc:"candidates per member of the test set and task"`
	World      int    `key:"world" default:"1" min:"0" doc:"seed of the world: its archetypes, members and clicks"`
	// They came later, as evaluate's tokens did.
	ItemWords itemWords `json:",omitzero" key:"item_words" default:"2" omit:"default" min:"2" max:"1000" doc:"words of an item's description, of past items and candidates: its topic, its format, then words that say nothing"`
	ItemKept  int       `json:",omitempty" key:"item_kept" default:"0" omit:"default" min:"0" max:"1000" doc:"words of item_words that prompts show, the first ones; 0 is all. With 1 they show no format, and auc_ceiling is that of such prompts"`
}

// itemWords is a key that came later.
type itemWords int

// IsZero reports the default.
func (w itemWords) IsZero() bool { return w == 2 }

// Reasoning is the world of chains of steps with a known lowest loss.
type Reasoning struct {
	Kind     string `key:"kind" one:"reasoning" required:"true" doc:"reasoning: chains of steps with an answer that is checked and a known lowest loss" json:"-"`
	Problems int    `key:"problems" default:"200" min:"1" max:"1000000" doc:"problems of the test set"`
	Steps    int    `key:"steps" default:"6" min:"2" max:"8" doc:"steps of the longest chains; the shortest have 2"`
	World    int    `key:"world" default:"1" min:"0" doc:"seed of the world: its operations, problems and wordings"`
}

// JSONL is a file of prompts and responses, one JSON object a line.
type JSONL struct {
	Kind          string  `key:"kind" one:"jsonl" required:"true" doc:"jsonl: your own file of prompts and responses" json:"-"`
	Path          string  `key:"path" required:"true" doc:"the file, relative to the working directory"`
	PromptField   string  `key:"prompt_field" doc:"name of the field that holds the prompt; default: found among the usual names in the first line"`
	ResponseField string  `key:"response_field" doc:"name of the field that holds the response; default: found likewise"`
	Limit         int     `key:"limit" default:"0" min:"0" doc:"records to read; 0 is all"`
	MaxTokens     int     `key:"max_tokens" default:"256" min:"8" max:"131072" doc:"examples are cut to this many tokens"`
	Validation    float64 `key:"validation" default:"0.1" above:"0" below:"0.9" doc:"share of the examples that is held out for validation; a tenth is kept for calibration"`
	Test          string  `json:",omitempty" key:"test" doc:"test records: a file, or the share of the examples that is kept as such, 0.2; default: none"`
	GroupField    string  `json:",omitempty" key:"group_field" doc:"name of the field that says whose a record is, such as user: where all responses are one of two texts, AUC is measured within groups too"`
	TaskField     string  `json:",omitempty" key:"task_field" doc:"name of the field that says of which task a record is, a text or a number, for teachers by task; default: none"`
	WeightField   string  `json:",omitempty" key:"weight_field" doc:"name of the field that is the factor of a record's loss, from 0 to 1000, such as weight; a record without it has 1. Messages of conversations have their own, under weight; default: none"`
	MaskField     string  `json:",omitempty" key:"mask_field" doc:"name of the field that lists the spans of the response that are not learned, [[from, to], ...] in characters, each without its end; a token counts where any byte of it is outside of all; default: none"`
}

// Ratings is a folder of users' ratings of titles, in tables.
type Ratings struct {
	Kind      string `key:"kind" one:"ratings" required:"true" doc:"ratings: users' ratings of titles, from tables such as MovieLens has" json:"-"`
	Path      string `key:"path" required:"true" doc:"a folder with ratings.csv (userId, movieId, rating, timestamp) and movies.csv (movieId, title, genres), or these with .gz, relative to the working directory"`
	Limit     int    `key:"limit" default:"0" min:"0" doc:"most prompts of each split, taken at even distances; 0 is all"`
	MaxTokens int    `key:"max_tokens" default:"256" min:"8" max:"131072" doc:"tokens of a prompt with its answer, at most: the oldest ratings of a longer one are left out"`
	// It came later, as evaluate's tokens did.
	Item ratingsItem `json:",omitzero" key:"item" default:"title genres" omit:"default" one:"title genres tags|title genres|title|word" doc:"what a prompt says of a title; tags are read from tags.csv (userId, movieId, tag, timestamp) beside the others: the title's 3 most frequent, of those that a user gave before the user's first test rating; word is the title's first"`
}

// ratingsItem is a key that came later.
type ratingsItem string

// IsZero reports the default.
func (i ratingsItem) IsZero() bool { return i == "title genres" }

// Passage is a file of text, every token of which is predicted.
type Passage struct {
	Kind       string  `key:"kind" one:"text" required:"true" doc:"text: your own file of text, every token of which is predicted" json:"-"`
	Path       string  `key:"path" required:"true" doc:"the file, relative to the working directory; of a file of records the texts are joined"`
	Length     int     `key:"length" default:"256" min:"8" max:"131072" doc:"tokens of a window; the text is cut into windows, of which every token after the first is an answer"`
	Limit      int     `key:"limit" default:"0" min:"0" doc:"lines to read, or records; 0 is all"`
	Validation float64 `key:"validation" default:"0.1" above:"0" below:"0.9" doc:"share of the windows that is held out for validation, after those for training; these are for calibration too"`
	Test       float64 `json:",omitempty" key:"test" default:"0" min:"0" below:"0.9" doc:"share of the windows at the end that is kept as a test set; 0 is none"`
}

// Tokenizer is trained on the task's text where no model is loaded, or where that is asked for.
type Tokenizer struct {
	Vocab int  `key:"vocab" default:"2048" min:"258" max:"1048576" doc:"size of the vocabulary, the 256 bytes and two special tokens included"`
	Train bool `json:",omitempty" key:"train" default:"false" omit:"default" doc:"train one for loaded models that have none too, such as those of random:SHAPE; by other tokens than a model was trained with, its figures say nothing"`
}

// Model is a named model: loaded from a checkpoint, or a shape that a step trains from fresh
// weights.
type Model struct {
	Name string `key:"-" json:"-"`
	// Load is a MODEL: a Hugging Face folder, pretrained:NAME or run:ID/ROW. Empty for a fresh
	// shape.
	Load      string  `key:"load" doc:"a Hugging Face folder, a GGUF file, pretrained:NAME or run:ID/ROW; excludes all other keys"`
	Layers    int     `key:"layers" min:"1" max:"4096" doc:"number of layers"`
	Hidden    int     `key:"hidden" min:"1" max:"1048576" doc:"width of the residual stream"`
	Heads     int     `key:"heads" min:"1" max:"16384" doc:"query heads"`
	KVHeads   int     `key:"kv_heads" min:"1" max:"16384" doc:"key and value heads, a divisor of heads; default: heads"`
	HeadDim   int     `key:"head_dim" min:"2" max:"4096" doc:"width of a head, even; default: hidden / heads"`
	MLP       int     `key:"mlp" min:"1" max:"1048576" doc:"MLP neurons; default: 8/3 of hidden, rounded up to a multiple of 8"`
	Tied      bool    `key:"tied" default:"true" doc:"the output head is the embedding"`
	RopeTheta float64 `key:"rope_theta" default:"10000" above:"0" doc:"base of the rotary positions"`
}

// Fresh reports whether the model is a shape without weights.
func (m Model) Fresh() bool { return m.Load == "" }

// Evaluate says how each step's model is evaluated.
type Evaluate struct {
	Validation int    `key:"validation" default:"256" min:"1" max:"1000000" doc:"validation sequences; at most all of the task"`
	Tokens     tokens `json:",omitzero" key:"tokens" default:"4" omit:"default" min:"0" max:"1000" doc:"validation examples of which each answer token is kept: the divergence from the teacher, or the baseline, and the likeliest tokens of both; 0 is none"`
	// Choice and ChoiceLimit came later too.
	Choice      string `json:",omitempty" key:"choice" doc:"a file of multiple-choice questions, relative to the working directory, as slimlab eval --choice reads it; default: none"`
	ChoiceLimit int    `json:",omitempty" key:"choice_limit" default:"0" min:"0" doc:"questions to ask, the first ones; 0 is all"`
	Answers     int    `json:",omitempty" key:"answers" default:"0" omit:"default" min:"0" max:"1000000" doc:"task jsonl: records of the test set, or the validation set where there is none, whose prompts are answered, greedily, for exact and f1; 0 is none"`
}

// tokens is a key that came after runs were logged. Where it has its default it is in no canonical
// text of a scenario, so that those runs stay comparable.
type tokens int

// IsZero reports the default.
func (t tokens) IsZero() bool { return t == 4 }

// Serve is the serving workload that each step's model is measured with.
type Serve struct {
	Workload     string `key:"workload" names:"workloads" doc:"kind of workload; default: ranking for task recsys, prompts for other tasks"`
	Members      int    `key:"members" default:"20" min:"1" max:"1000000" doc:"ranking: members, one after the other"`
	Candidates   int    `key:"candidates" default:"4" min:"1" max:"10000" doc:"ranking: prompts per member: the first finds an empty prefix cache, the others find the member's prefix"`
	Prompts      served `json:",omitzero" key:"prompts" default:"32" omit:"default" min:"1" max:"100000" doc:"prompts: how many, those of the first validation examples; of an example that is a text its first half"`
	AnswerTokens served `json:",omitzero" key:"answer_tokens" default:"32" omit:"default" min:"1" max:"131072" doc:"prompts: tokens of each answer, which does not end before"`
	// They came later: without a rate a workload is what it was.
	Rate   float64 `json:",omitempty" key:"rate" default:"0" omit:"default" min:"0" max:"1000000" doc:"ranking: visits of members a second, by a Poisson process, under which latencies are measured too; 0: they are measured of one prompt at a time alone"`
	Visits visits  `json:",omitzero" key:"visits" default:"300" omit:"default" min:"1" max:"1000000" doc:"ranking: visits under rate, each with all candidates of its member at once"`
}

// visits is a key that belongs to rate.
type visits int

// IsZero reports the default.
func (v visits) IsZero() bool { return v == 300 }

// served is a key of the workload prompts, which came later, as tokens did.
type served int

// IsZero reports the default.
func (s served) IsZero() bool { return s == 32 }

// Workloads of the section serve.
const (
	RankingWorkload = "ranking"
	PromptsWorkload = "prompts"
)

// header holds the keys that do not depend on the sweep.
type header struct {
	Name     string `key:"name" doc:"the scenario's name; default: the file's"`
	About    string `key:"about" doc:"one line: what it shows"`
	Baseline string `key:"baseline" doc:"the row that differences refer to; default: the first"`
	Seeds    int    `key:"seeds" default:"1" min:"1" max:"1000" doc:"seeds per point of the sweep"`
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
	{"tokenizer", "trained on the task's text where no model is loaded, or where that is asked for"},
	{"models", "named models: loaded, or fresh shapes"},
	{"pipeline", "steps; each builds a model and a row of the table, under its name"},
	{"evaluate", "how each step's model is evaluated"},
	{"serve", "the serving workload of each step's model; without it there are no serving metrics"},
	{"baseline", "the row that differences refer to; default: the first"},
	{"sweep", "axes: each a list of values of ${axis}"},
	{"params", "values of ${name} where no axis has the name"},
	{"seeds", "seeds per point of the sweep"},
	{"quick", "overrides that --quick applies"},
	{"columns", "metrics of the table, in order; default: all measured ones"},
	{"expect", "comparisons of metric(row=…, axis=…) with numbers (0.7, 20ms, 300kB, 3%) or with each other; kendall(metric, rows=A;B;…, rows=A2;B2;…) is the rank correlation of two lists of rows, best_kept(…) the share of seeds in which the best stays the best"},
	{"paper", "published figures by row, in per cent relative to the baseline"},
}

func sectionNames() []string {
	names := make([]string, len(sections))
	for i, s := range sections {
		names[i] = s.key
	}
	return names
}

package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"slimlab/internal/commalist"
	"slimlab/internal/plural"
	"slimlab/kernels"
	"slimlab/lab"
	"slimlab/lab/convert"
	"slimlab/lab/recipe"
	"slimlab/lab/report"
	"slimlab/lab/scenario"
	"slimlab/lab/sensitivity"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/calibrate/statistics"
	"slimlab/quant"
)

// Sensitivity measures what each layer of a model loses by each way to make it smaller, one layer
// at a time. Its model is the one that it measures.
type Sensitivity struct {
	Schemes     string      `key:"schemes" list:" " default:"w8a8 w4a16" doc:"number formats that each layer is tried in, as a list or a text with spaces between"`
	MLP         string      `key:"mlp" list:" " default:"25% 50%" doc:"shares of each layer's MLP neurons that are removed by osscar, as a list or a text with spaces between"`
	KV          string      `json:",omitempty" key:"kv" list:" " omit:"default" doc:"formats of the KV cache that the model is tried with, as a list or a text with spaces between; default: none"`
	Examples    int         `key:"examples" default:"64" min:"1" max:"1000000" doc:"validation examples whose predictions are compared"`
	Calibration Calibration `key:"calibration" doc:"calibration text of the methods"`
}

// sensitivityVersion is that of the code below and of package sensitivity: raise it when they
// compute other numbers.
const sensitivityVersion = 2

// Describe says what the step does.
func (s *Sensitivity) Describe(from string) string {
	return fmt.Sprintf("measure what each layer of %s loses by %s", from, strings.Join(append(s.names(), s.cacheNames()...), ", "))
}

// mlpPrefix begins the name of a choice that removes neurons.
const mlpPrefix = "mlp "

// names are those of the choices.
func (s *Sensitivity) names() []string {
	var names []string
	for _, c := range listed(s.MLP) {
		names = append(names, mlpPrefix+c)
	}
	return append(names, listed(s.Schemes)...)
}

// cacheNames are those of the formats of the KV cache.
func (s *Sensitivity) cacheNames() []string {
	var names []string
	for _, name := range listed(s.KV) {
		names = append(names, "KV "+name)
	}
	return names
}

// caches are the formats of the KV cache that the model is tried with, which have to fit heads of
// headDim; 0 for heads that are not known yet.
func (s *Sensitivity) caches(headDim int) (list []kernels.KVFormat, err error) {
	names, err := commalist.Parts(s.KV)
	if err != nil {
		return nil, keyError{"kv", err}
	}
	for _, name := range names {
		format, err := kernels.ParseKVFormat(name)
		if err != nil {
			return nil, keyError{"kv", fmt.Errorf("has an unknown %w", err)}
		}
		if headDim > 0 {
			err = format.Check(kernels.KVBlock, headDim)
		}
		if err == nil && slices.Contains(list, format) {
			err = errors.New("it is there twice")
		}
		if err != nil {
			return nil, keyError{"kv", fmt.Errorf("has %q: %w", name, err)}
		}
		list = append(list, format)
	}
	return list, nil
}

// listed are the parts of a list with spaces or commas, which its step has checked.
func listed(text string) []string {
	parts, _ := commalist.Parts(text)
	return parts
}

// Check implements scenario.Checker.
func (s *Sensitivity) Check(_ func(key string) bool, bad func(key, with, format string, args ...any)) {
	if s.Calibration.Mode != "sequential" || s.Calibration.Target != "own" {
		bad("calibration", "", "has a mode or a target, and each layer is changed alone here, on the inputs of the model as it is: expected neither")
	}
	if len(s.names()) == 0 {
		bad("schemes", "mlp", "are both empty: expected a number format or a share of neurons")
	}
	_, err := s.choices()
	if err == nil {
		_, err = s.caches(0)
	}
	if err != nil {
		key := "schemes"
		var of keyError
		if errors.As(err, &of) {
			key, err = of.key, of.err
		}
		bad(key, "", "%v", err)
	}
}

// choices are the ways that each layer is tried in.
func (s *Sensitivity) choices() (list []sensitivity.Choice, err error) {
	twice := func(key, text, before string) error {
		if text == before {
			return keyError{key, fmt.Errorf("has %q twice: expected it once", text)}
		}
		return keyError{key, fmt.Errorf("has %q and %q, which are the same: expected one of them", before, text)}
	}
	shares, formats := map[float64]string{}, map[string]string{}
	neurons, err := commalist.Parts(s.MLP)
	if err != nil {
		return nil, keyError{"mlp", err}
	}
	for _, text := range neurons {
		x, err := parseShare(text)
		if err != nil {
			return nil, keyError{"mlp", fmt.Errorf("has %q, %w", text, err)}
		}
		if before, known := shares[x]; known {
			return nil, twice("mlp", text, before)
		}
		shares[x] = text
		list = append(list, sensitivity.Choice{Name: mlpPrefix + text, MLP: x})
	}
	schemes, err := commalist.Parts(s.Schemes)
	if err != nil {
		return nil, keyError{"schemes", err}
	}
	for _, text := range schemes {
		scheme, err := quant.ParseScheme(text)
		if err != nil {
			return nil, keyError{"schemes", fmt.Errorf("has %q: %w", text, err)}
		}
		if scheme.Rounder == nil {
			return nil, keyError{"schemes", fmt.Errorf("has %q, which changes nothing", text)}
		}
		if before, known := formats[scheme.String()]; known {
			return nil, twice("schemes", text, before)
		}
		formats[scheme.String()] = text
		list = append(list, sensitivity.Choice{Name: text, Scheme: scheme})
	}
	return list, nil
}

// CheckChoices reports number formats, shares and formats of the KV cache that cannot be tried,
// with the key that has them.
func CheckChoices(schemes, mlp, kv string) (key string, err error) {
	s := Sensitivity{Schemes: schemes, MLP: mlp, KV: kv}
	if len(s.names()) == 0 {
		return "schemes", errors.New("is empty, and so are the shares of neurons: expected something to try")
	}
	if _, err = s.choices(); err == nil {
		_, err = s.caches(0)
	}
	var of keyError
	if errors.As(err, &of) {
		return of.key, of.err
	}
	return "schemes", err
}

// CachesThatFit are the formats of the KV cache among names that heads of headDim can have; names
// that are none stay, for CheckChoices to refuse.
func CachesThatFit(names []string, headDim int) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		format, err := kernels.ParseKVFormat(name)
		return err == nil && format.Check(kernels.KVBlock, headDim) != nil
	})
}

func (s *Sensitivity) plan(ctx context.Context, w *worker, step scenario.Step) (job, error) {
	choices, err := s.choices()
	if err != nil {
		return job{}, err
	}
	source, err := w.weights(step.From)
	if err == nil {
		err = source.checkFloat("measured")
	}
	if err == nil {
		err = errors.Join(w.data.checkSource(s.Calibration.Source), s.Calibration.checkMemory(w.data, source.shape))
	}
	var caches []kernels.KVFormat
	if err == nil {
		caches, err = s.caches(source.shape.HeadDim)
	}
	for _, c := range choices {
		switch {
		case err != nil:
		case c.Scheme.Rounder == nil:
			if err = checkShare(c.MLP, source.shape); err != nil {
				err = keyError{"mlp", fmt.Errorf("has %s, which %w", strings.TrimPrefix(c.Name, mlpPrefix), err)}
			}
		default:
			if err = CheckScheme(c.Name, source.shape); err != nil {
				err = keyError{"schemes", fmt.Errorf("has %w", err)}
			}
		}
	}
	if err != nil {
		return job{}, err
	}
	s.Calibration.noteFew(w, step.Name)
	s.noteMemory(w, step.Name, source.shape)
	tables := []recipe.Recipe{s.layersRecipe(w, source)}
	if len(caches) > 0 {
		tables = append(tables, s.cachesRecipe(w, source))
	}
	return job{model: source, tables: tables, memory: s.Calibration.freeMemory(w, source.shape, convert.InPlace{}), measures: func(string, *measured) error {
		err := s.measure(ctx, w, step, source, choices)
		if err == nil && len(caches) > 0 {
			err = s.measureCaches(ctx, w, source, caches)
		}
		return err
	}}, nil
}

// noteMemory says before the work what it takes at most.
func (s *Sensitivity) noteMemory(w *worker, step string, c model.Config) {
	needs := convert.InPlace{Samples: s.Calibration.Samples, Length: w.data.longest, Parallel: true}.Memory(c)
	kept := statistics.Most(c, func(int, model.Site) bool { return true }, false)
	streams := 4 * int64(s.Examples) * int64(w.data.longest) * int64(c.Hidden) * int64(len(c.Layers)+1)
	// a choice has a model of its own beside the one that it is made of
	total := needs.Total() + 4*int64(c.Parameters()) + kept + streams
	bytes := func(n int64) string { return report.Format(lab.Bytes, float64(n)) }
	w.run.noteOnce(lab.Info, fmt.Sprintf("%s: needs up to about %s of memory: two models %s, a layer's work %s, statistics of all layers %s, streams of the validation examples %s; no statistics are kept on disk",
		step, bytes(total), bytes(8*int64(c.Parameters())), bytes(needs.Total()-needs.Whole), bytes(kept), bytes(streams)))
}

// layersRecipe is that of the table of layers.
func (s *Sensitivity) layersRecipe(w *worker, source *artifactModel) recipe.Recipe {
	of := w.data.recipe("sensitivity", sensitivityVersion)
	of.Inputs["model"] = source.key
	of.Parameters["choices"], of.Parameters["examples"] = strings.Join(s.names(), ","), s.Examples
	s.Calibration.into(&of, w.cell.Seed)
	return of
}

// cachesRecipe is that of the table of KV caches.
func (s *Sensitivity) cachesRecipe(w *worker, source *artifactModel) recipe.Recipe {
	of := w.data.recipe("sensitivity", sensitivityVersion)
	of.Inputs["model"] = source.key
	of.Parameters["caches"], of.Parameters["examples"] = strings.Join(listed(s.KV), ","), s.Examples
	return of
}

// measure finds the table of an earlier run or measures it, and emits it.
func (s *Sensitivity) measure(ctx context.Context, w *worker, step scenario.Step, source *artifactModel, choices []sensitivity.Choice) error {
	a, err := w.run.artifact(ctx, s.layersRecipe(w, source), "sensitivity of "+source.name, func(dir string) error {
		return w.run.compute(func() error {
			sequences, err := w.data.calibration(s.Calibration, w.cell.Seed)
			if err != nil {
				return err
			}
			m, err := source.load(ctx)
			if err != nil {
				return err
			}
			o := sensitivity.Options{Store: statisticsInMemory{}, Progress: w.progress, Estimate: func(d time.Duration) {
				w.run.note(w.cell.ID, lab.Info, fmt.Sprintf("%s: perhaps %s for all layers and choices, a first estimate by the pace of the first pass: what the methods solve comes on top", step.Name, report.Duration(d.Seconds())))
			}}
			table, err := sensitivity.Measure(ctx, m, sequences, w.data.validation(s.Examples), choices, o)
			if err != nil {
				return source.cause(ctx, err)
			}
			return writeFacts(dir, table)
		})
	})
	if err != nil {
		return err
	}
	defer a.release()
	var table sensitivity.Table
	if err := readFacts(a.dir, &table); err != nil {
		return err
	}
	w.run.noteOnce(lab.Info, fmt.Sprintf("%s: KL is the mean over %s of validation answers, each layer changed alone; statistics are of %s", step.Name, plural.Of(table.Predictions, "prediction"), plural.Of(table.Tokens, "calibration token")))
	w.matrix("KL", table.KL, table.Choices)
	w.matrix("output error", table.Error, table.Choices)
	bytes := make([][]float64, len(table.Bytes))
	for i, row := range table.Bytes {
		bytes[i] = append(bytes[i], float64(table.DenseBytes[i]))
		for _, n := range row {
			bytes[i] = append(bytes[i], float64(n))
		}
	}
	w.matrix("layer bytes", bytes, append([]string{"as it is"}, table.Choices...))
	return nil
}

// matrix emits a table by layer and choice.
func (w *worker) matrix(name string, values [][]float64, choices []string) {
	m := &lab.Matrix{Rows: len(values), Columns: len(choices), ColumnLabels: choices}
	for i, row := range values {
		m.RowLabels = append(m.RowLabels, fmt.Sprintf("layer %d", i))
		m.Values = append(m.Values, row...)
	}
	w.run.emit(lab.Event{Kind: lab.KindMatrix, Cell: w.cell.ID, Stage: w.stage, Name: name, Matrix: m})
}

// measureCaches finds what the model loses by each KV cache in an earlier run or measures it, and
// emits it. It is kept apart from the table of layers: another list of caches leaves that as it is.
func (s *Sensitivity) measureCaches(ctx context.Context, w *worker, source *artifactModel, caches []kernels.KVFormat) error {
	a, err := w.run.artifact(ctx, s.cachesRecipe(w, source), "KV caches of "+source.name, func(dir string) error {
		return w.run.compute(func() error {
			m, err := source.load(ctx)
			if err != nil {
				return err
			}
			list, err := sensitivity.MeasureCaches(ctx, m, w.data.validation(s.Examples), caches, w.progress)
			if err != nil {
				return err
			}
			return writeFacts(dir, list)
		})
	})
	if err != nil {
		return err
	}
	defer a.release()
	var list []sensitivity.Cache
	if err := readFacts(a.dir, &list); err != nil {
		return err
	}
	kl := &lab.Matrix{Rows: 1, RowLabels: []string{"all layers"}}
	bytes := &lab.Matrix{Rows: 1, RowLabels: []string{"bytes a token"}, Columns: 1, ColumnLabels: []string{"as it is"},
		Values: []float64{float64(model.PositionBytes(source.shape, kernels.KVBFloat16))}}
	for _, c := range list {
		for of, x := range map[*lab.Matrix]float64{kl: c.KL, bytes: float64(c.Bytes)} {
			of.Columns, of.ColumnLabels, of.Values = of.Columns+1, append(of.ColumnLabels, c.Name), append(of.Values, x)
		}
	}
	w.run.emit(lab.Event{Kind: lab.KindMatrix, Cell: w.cell.ID, Stage: w.stage, Name: "KV cache", Matrix: kl})
	w.run.emit(lab.Event{Kind: lab.KindMatrix, Cell: w.cell.ID, Stage: w.stage, Name: "KV cache bytes", Matrix: bytes})
	return nil
}

// statisticsInMemory keeps the statistics of one model while several methods read them.
type statisticsInMemory map[string]*calibrate.Stats

// Has implements calibrate.Store.
func (s statisticsInMemory) Has(key string) bool { return s[key] != nil }

// Keeps implements calibrate.Store.
func (s statisticsInMemory) Keeps(changed bool) bool { return !changed }

// Load implements calibrate.Store.
func (s statisticsInMemory) Load(_ context.Context, key string) (*calibrate.Stats, error) {
	return s[key].Clone(), nil
}

// Save implements calibrate.Store.
func (s statisticsInMemory) Save(_ context.Context, key string, of *calibrate.Stats) error {
	s[key] = of.Clone()
	return nil
}

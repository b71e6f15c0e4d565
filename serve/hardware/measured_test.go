package hardware

import (
	"compress/gzip"
	"encoding/csv"
	"hash/fnv"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"slimlab/internal/shareddata"
)

// table is the rows of a measured table by the names of its columns.
type table struct {
	t       *testing.T
	columns map[string]int
	rows    [][]string
}

// readTable reads a CSV file of the folder of measurements.
func readTable(t *testing.T, elem ...string) table {
	t.Helper()
	path := shareddata.Path(t, append([]string{"hardware"}, elem...)...)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := csv.NewReader(r).ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("%s: %d rows, %v", path, len(rows), err)
	}
	columns := map[string]int{}
	for i, name := range rows[0] {
		columns[name] = i
	}
	return table{t, columns, rows[1:]}
}

func (m table) text(row []string, column string) string {
	i, ok := m.columns[column]
	if !ok {
		m.t.Fatalf("no column %s", column)
	}
	return row[i]
}

func (m table) number(row []string, column string) float64 {
	x, err := strconv.ParseFloat(m.text(row, column), 64)
	if err != nil {
		m.t.Fatal(err)
	}
	return x
}

// held reports whether a shape is one of the quarter that is never fitted.
func held(shape string) bool {
	h := fnv.New32a()
	h.Write([]byte(shape))
	return h.Sum32()%4 == 0
}

// split is measurements of shapes that are fitted, and of those that are not.
type split[S any] struct {
	fitted, held         []S
	fittedShapes, shapes map[string]bool
}

func (s *split[S]) add(shape string, sample S) {
	if s.shapes == nil {
		s.shapes, s.fittedShapes = map[string]bool{}, map[string]bool{}
	}
	s.shapes[shape] = true
	if held(shape) {
		s.held = append(s.held, sample)
		return
	}
	s.fittedShapes[shape] = true
	s.fitted = append(s.fitted, sample)
}

// share is that of the shapes that are held out.
func (s *split[S]) share() float64 { return 1 - float64(len(s.fittedShapes))/float64(len(s.shapes)) }

// stack is one engine on one device in the folder of measurements.
type stack struct{ device, folder string }

var (
	sglangA100 = stack{"a100", "a100_sxm/sglang-0.5.10"}
	sglangH100 = stack{"h100", "h100_sxm/sglang-0.5.14"}
	vllmA100   = stack{"a100", "a100_sxm/vllm-0.14.0"}
	vllmH100   = stack{"h100", "h100_sxm/vllm-0.24.0"}
)

func (s stack) read(t *testing.T, name string) table {
	t.Helper()
	return readTable(t, append(append([]string{"measured"}, strings.Split(s.folder, "/")...), name+".csv.gz")...)
}

func (s stack) gemm(t *testing.T, f Format) (all split[GEMMSample]) {
	m := s.read(t, "gemm")
	for _, row := range m.rows {
		if m.text(row, "dtype") == f.String() {
			all.add(m.text(row, "n")+"x"+m.text(row, "k"),
				GEMMSample{m.number(row, "m"), m.number(row, "n"), m.number(row, "k"), m.number(row, "latency_us") * 1e-6})
		}
	}
	return all
}

// attention reads full attention with a cache of one format. Windows are left out, since no model
// here has one, and so are heads of 512, which other kernels compute.
func (s stack) attention(t *testing.T, kind string, kv Format) (all split[AttentionSample]) {
	m := s.read(t, kind+"_attention")
	bytes := map[Format]float64{BF16: 2, FP8: 1}[kv]
	for _, row := range m.rows {
		if m.text(row, "kv_dtype") != kv.String() || m.number(row, "window") != 0 || m.number(row, "head_dim") == 512 {
			continue
		}
		all.add(m.text(row, "heads")+"/"+m.text(row, "kv_heads")+"/"+m.text(row, "head_dim"), AttentionSample{
			Sequences: int(m.number(row, "batch")), New: int(m.number(row, "input_length")), Cached: int(m.number(row, "context_length")),
			Heads: int(m.number(row, "heads")), KVHeads: int(m.number(row, "kv_heads")), HeadDim: int(m.number(row, "head_dim")),
			KVBytes: bytes, Seconds: m.number(row, "latency_us") * 1e-6,
		})
	}
	return all
}

// allReduce reads the captured runs: a step without a graph waits for its launches elsewhere.
func (s stack) allReduce(t *testing.T) (all split[AllReduceSample]) {
	m := s.read(t, "custom_allreduce")
	for _, row := range m.rows {
		if m.text(row, "mode") == "graph" {
			all.add(m.text(row, "gpus")+"x"+m.text(row, "bytes"),
				AllReduceSample{int(m.number(row, "gpus")), m.number(row, "bytes"), m.number(row, "latency_us") * 1e-6})
		}
	}
	return all
}

// profiled reads the products and the work between them that vidur's profiler measured of a model.
func profiled(t *testing.T, name string) (products []GEMMSample, between []ElementwiseSample) {
	m := readTable(t, "vidur-profiling", name+"_mlp.csv")
	for _, row := range m.rows {
		seconds := func(op string) float64 { return m.number(row, "time_stats."+op+".median") * 1e-3 }
		parts, tokens := m.number(row, "num_tensor_parallel_workers"), m.number(row, "num_tokens")
		hidden, mlp := m.number(row, "n_embd"), m.number(row, "n_expanded_embd")/parts
		heads, kv := m.number(row, "n_head")/parts, max(1, m.number(row, "n_kv_head")/parts)
		dim := hidden / m.number(row, "n_head")
		products = append(products,
			GEMMSample{tokens, (heads + 2*kv) * dim, hidden, seconds("attn_pre_proj")},
			GEMMSample{tokens, hidden, heads * dim, seconds("attn_post_proj")},
			GEMMSample{tokens, 2 * mlp, hidden, seconds("mlp_up_proj")},
			GEMMSample{tokens, hidden, mlp, seconds("mlp_down_proj")})
		total := seconds("input_layernorm") + seconds("post_attention_layernorm") + seconds("attn_rope") + seconds("mlp_act") + 2*seconds("add")
		between = append(between, ElementwiseSample{tokens, hidden, dim, heads, kv, mlp, total})
	}
	return products, between
}

// profiledAllReduce reads vidur's all-reduce of one rank.
func profiledAllReduce(t *testing.T, name string) (all []AllReduceSample) {
	m := readTable(t, "vidur-profiling", name+"_dgx_all_reduce.csv")
	for _, row := range m.rows {
		if m.number(row, "rank") == 0 {
			all = append(all, AllReduceSample{int(m.number(row, "num_workers")), m.number(row, "size"), m.number(row, "time_stats.all_reduce.median") * 1e-3})
		}
	}
	return all
}

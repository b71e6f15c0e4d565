package server

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"

	"slimlab/kd/kdtest"
	"slimlab/kernels"
	"slimlab/model"
	"slimlab/serve"
	"slimlab/serve/host"
)

type embedded struct {
	Data  []struct{ Embedding []float32 }
	Usage usage
}

// Embeddings are the hidden states that the model's forward pass has after its final norm, of
// length 1, in small chunks too and beside others; base64 has the same bits.
func TestEmbeddings(t *testing.T) {
	m, err := kdtest.Model(t, kdtest.Vocab, 24, 2).WithKV(kernels.KVFloat32)
	if err != nil {
		t.Fatal(err)
	}
	executor, err := host.New(m, host.Options{PageSize: 2, Pages: 300})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := serve.New(executor, serve.Options{PrefixCache: true, Chunk: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	s, err := New(Model{Name: "tiny", Engine: engine, Shape: executor.Shape(), Tokenizer: newTokenizer(t), NoTemplate: "none"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	x := &fixture{engine: engine, server: s, http: httptest.NewServer(s.Handler())}
	defer x.http.Close()
	inputs := [][]int32{{1, 2, 3, 4, 5, 6, 7}, {9}, {1, 2, 3, 4, 8}}
	list := strings.ReplaceAll(fmt.Sprint(inputs), " ", ",")
	for round := range 2 {
		for _, pooling := range []string{"last", "mean"} {
			got := decode[embedded](t, x.post(t, "/v1/embeddings", fmt.Sprintf(`{"input":%s,"pooling":%q}`, list, pooling)))
			coded := decode[struct{ Data []struct{ Embedding string } }](t, x.post(t, "/v1/embeddings", fmt.Sprintf(`{"input":%s,"pooling":%q,"encoding_format":"base64"}`, list, pooling)))
			if got.Usage.PromptTokens != 13 || got.Usage.TotalTokens != 13 {
				t.Errorf("usage %+v, want 13 tokens", got.Usage)
			}
			for i, input := range inputs {
				hidden := m.Forward(model.Batch{Tokens: input, Starts: []int{0, len(input)}}, nil)
				want := make([]float64, m.Hidden)
				for at, row := 0, 0; at < len(hidden); at, row = at+m.Hidden, row+1 {
					for j := range want {
						if pooling == "mean" || row == len(input)-1 {
							want[j] += float64(hidden[at+j])
						}
					}
				}
				length, dot := 0.0, 0.0
				for j, w := range want {
					length += w * w
					dot += w * float64(got.Data[i].Embedding[j])
				}
				if cosine := dot / math.Sqrt(length); math.Abs(cosine-1) > 1e-6 || len(got.Data[i].Embedding) != m.Hidden {
					t.Errorf("round %d, %s of input %d: the cosine is %v", round, pooling, i, cosine)
				}
				data, err := base64.StdEncoding.DecodeString(coded.Data[i].Embedding)
				if err != nil {
					t.Fatal(err)
				}
				decoded := make([]float32, len(data)/4)
				for j := range decoded {
					decoded[j] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*j:]))
				}
				if !slices.Equal(decoded, got.Data[i].Embedding) {
					t.Errorf("base64 has %v, numbers %v", decoded, got.Data[i].Embedding)
				}
			}
		}
	}
}

func TestOpenAIsClientEmbeds(t *testing.T) {
	x := start(t, script, Options{Keys: []string{"key"}})
	client := x.client()
	got, err := client.Embeddings.New(t.Context(), openai.EmbeddingNewParams{Model: "tiny", Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"the fox", "the dog"}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Data) != 2 || got.Data[1].Index != 1 || len(got.Data[0].Embedding) != x.shape.Hidden || slices.Equal(got.Data[0].Embedding, got.Data[1].Embedding) || got.Usage.PromptTokens == 0 {
		t.Errorf("%+v", got)
	}
	x.idle(t)
}

// A vector without a direction stays as it is.
func TestUnitOfNothing(t *testing.T) {
	if got := unit([]float32{0, 0}); got[0] != 0 || got[1] != 0 {
		t.Errorf("%v", got)
	}
	if got := unit([]float32{3, 4}); got[0] != 0.6 || got[1] != 0.8 {
		t.Errorf("%v", got)
	}
}

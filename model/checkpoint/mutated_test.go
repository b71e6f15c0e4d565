package checkpoint

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slimlab/internal/jsonmutant"
	"strings"
	"testing"
	"testing/fstest"
)

// ownTypes are names of this package in an error.
var ownTypes = regexp.MustCompile(`\bmap\[|\bnil\b|quantizedArgs|configGroup|layerWidths`)

// checkWords reports an error that names types or functions of the program.
func checkWords(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil && (jsonmutant.SpeaksOfTheProgram(err) || ownTypes.MatchString(err.Error())) {
		t.Errorf("%s: %v", what, err)
	}
}

// Whatever one value of a folder's JSON files is, the folder is read or refused in the words of its
// files.
func TestErrorsSpeakOfTheFiles(t *testing.T) {
	folder := func(dir string) fstest.MapFS {
		files := fstest.MapFS{}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			data, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			files[e.Name()] = &fstest.MapFile{Data: data}
		}
		return files
	}
	variants, refused := 0, 0
	vary := func(files fstest.MapFS, name string) {
		text := string(files[name].Data)
		jsonmutant.Each(t, text, func(path, variant string) {
			files[name] = &fstest.MapFile{Data: []byte(variant)}
			c, err := OpenFS(files, ".")
			variants++
			if err != nil {
				refused++
				if !strings.Contains(err.Error(), name) && !strings.Contains(err.Error(), "tensor") && !strings.Contains(err.Error(), "model config") && !strings.Contains(err.Error(), "model.") {
					t.Errorf("%s%s: the error names no place: %v", name, path, err)
				}
			} else {
				_, err = c.Model(context.Background())
				c.Notes()
				c.Close()
			}
			checkWords(t, name+path, err)
		})
		jsonmutant.Break(text, func(variant string) {
			files[name] = &fstest.MapFile{Data: []byte(variant)}
			c, err := OpenFS(files, ".")
			if err == nil {
				c.Close()
			}
			checkWords(t, name+": "+variant, err)
		})
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	for name, extra := range map[string]map[string]any{
		"tied": {"rope_scaling": llama3}, "qwen2": {"rope_parameters": map[string]any{"rope_type": "yarn", "factor": 4, "beta_fast": 16, "truncate": true}},
		"pruned": {"layer_types": []any{"full_attention", "full_attention"}, "dtype": "float32", "eos_token_id": []any{1, 2}},
		"untied": {"text_config": map[string]any{}, "partial_rotary_factor": 1},
	} {
		dir := t.TempDir()
		if err := Save(context.Background(), dir, random(t, shapes()[name]), nil, SaveOptions{ShardBytes: 20_000}); err != nil {
			t.Fatal(err)
		}
		editFile(t, filepath.Join(dir, "config.json"), extra)
		files := folder(dir)
		files["generation_config.json"] = &fstest.MapFile{Data: []byte(`{"bos_token_id":1,"eos_token_id":[2,3],"pad_token_id":0,"temperature":0.6,"do_sample":true}`)}
		vary(files, "config.json")
		vary(files, "generation_config.json")
		if _, ok := files["model.safetensors.index.json"]; ok && name == "untied" {
			vary(files, "model.safetensors.index.json")
		}
	}
	for _, s := range samples() {
		switch s.name {
		case "GPTQ", "AWQ", "fp8 blocks", "int-quantized", "float-quantized blocks", "pack-quantized ordered":
		default:
			continue
		}
		dir := t.TempDir()
		sampleFolder(t, dir, s)
		files := folder(dir)
		config := files["config.json"].Data
		jsonmutant.Each(t, s.config, func(path, variant string) {
			files["config.json"] = &fstest.MapFile{Data: []byte(edit(t, string(config), map[string]any{"quantization_config": json.RawMessage(variant)}))}
			c, err := OpenFS(files, ".")
			variants++
			if err != nil {
				refused++
			} else {
				_, err = c.Model(context.Background())
				c.Close()
			}
			checkWords(t, s.name+path, err)
		})
	}
	t.Logf("%d variants, %d refused", variants, refused)
}

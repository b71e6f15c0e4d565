package checkpoint

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"slimlab/internal/jsonread"
)

const adapterConfig = "adapter_config.json"

// adapterIn reports whether a folder holds a LoRA adapter.
func adapterIn(fsys fs.FS, dir string) (name string, ok bool) {
	_, err := fs.Stat(fsys, path.Join(dir, adapterConfig))
	return adapterConfig, err == nil
}

// withoutConfig is the error of a folder without config.json, which says what the folder is
// instead.
func withoutConfig(fsys fs.FS, dir string, absent error) error {
	if name, ok := adapterIn(fsys, dir); ok {
		base := ""
		var k keys
		if data, err := jsonread.ReadFile(fsys, path.Join(dir, name)); err == nil && jsonread.Decode(data, &k.raw) == nil {
			base = k.text("base_model_name_or_path", "")
		}
		if base != "" {
			base = " of " + base
		}
		return fmt.Errorf("a LoRA adapter%s (%s) and no model: slimlab import BASE FOLDER --adapter ADAPTER merges the two", base, name)
	}
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case strings.HasSuffix(name, ".gguf"):
			return fmt.Errorf("found no config.json; %s is a MODEL by itself: name that file", name)
		case name == "params.json" || strings.HasPrefix(name, "consolidated"):
			return fmt.Errorf("found no config.json, only %s, Meta's or Mistral's own format: convert it to Hugging Face's first", name)
		case name == "model_index.json":
			return fmt.Errorf("found no config.json, only %s, a pipeline of diffusion models", name)
		case e.IsDir():
			if _, err := fs.Stat(fsys, path.Join(dir, name, "config.json")); err == nil {
				return fmt.Errorf("found no config.json; the folder %s in it has one: name that folder", name)
			}
		}
	}
	return fmt.Errorf("found no config.json: %w", absent)
}

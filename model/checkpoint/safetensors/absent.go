package safetensors

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// allThere reports files that are missing, of a sorted list that may have names several times.
func allThere(fsys fs.FS, dir string, names []string) error {
	names = slices.Compact(names)
	var missing []string
	for _, name := range names {
		if _, err := fs.Stat(fsys, path.Join(dir, name)); errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d files with tensors are missing: %s: %w", len(missing), len(names), strings.Join(missing[:min(4, len(missing))], ", "), fs.ErrNotExist)
}

// withoutIndex opens the files of a numbered set, model-00001-of-00003.safetensors and so on, or
// says what the folder holds instead of tensors that are read.
func withoutIndex(fsys fs.FS, dir string, absent error) (*Folder, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	set := numberedSet(names)
	if len(set) == 0 {
		return nil, fmt.Errorf("found neither %s nor %s%s: %w", singleName, IndexName, instead(names), absent)
	}
	if err := allThere(fsys, dir, set); err != nil {
		return nil, fmt.Errorf("%s is missing too, and %w", IndexName, err)
	}
	for i, name := range set {
		set[i] = path.Join(dir, name)
	}
	f, err := OpenFiles(fsys, set...)
	if err == nil {
		f.Notes = append(f.Notes, fmt.Sprintf("%s is missing: the tensors are those of all %d numbered files", IndexName, len(set)))
	}
	return f, err
}

// maxSet bounds the files of a numbered set: a name says how many there are.
const maxSet = 4096

// numberedSet lists all files of the set that one of the names belongs to, whether they are there
// or not.
func numberedSet(names []string) []string {
	for _, name := range names {
		match := weightFile.FindStringSubmatch(name)
		if match == nil || match[1] == "" || match[2] != "" {
			continue
		}
		of, err := strconv.Atoi(match[1][len(match[1])-5:])
		if err != nil || of < 1 || of > maxSet {
			continue
		}
		set := make([]string, of)
		for i := range set {
			set[i] = ShardName(i, of)
		}
		return set
	}
	return nil
}

// otherForms are files of weights that are not read, by how their names begin and end.
var otherForms = []struct{ begin, end, what string }{
	{"adapter_model", "", "a LoRA adapter and no model: slimlab import BASE FOLDER --adapter ADAPTER merges it"},
	{"pytorch_model", "", "and pickled weights are not read: save the model as safetensors"},
	{"consolidated", "", "in Meta's or Mistral's own format: convert it to Hugging Face's first"},
	{"", ".gguf", "a GGUF file, which is a MODEL by itself: name that file"},
	{"tf_model", "", "weights of TensorFlow, which are not read"},
	{"flax_model", "", "weights of Flax, which are not read"},
	{"", ".bin", "and pickled weights are not read: save the model as safetensors"},
	{"", ".pth", "and pickled weights are not read: save the model as safetensors"},
	{"", ".pt", "and pickled weights are not read: save the model as safetensors"},
	{"", ".safetensors", "a name that neither Hugging Face's tools nor an index gives: rename it to " + singleName + " where it is the whole model"},
}

// instead says what a folder holds in place of tensors that are read.
func instead(names []string) string {
	for _, form := range otherForms {
		for _, name := range names {
			if strings.HasPrefix(name, form.begin) && strings.HasSuffix(name, form.end) {
				return fmt.Sprintf(", only %s, %s", name, form.what)
			}
		}
	}
	return ""
}

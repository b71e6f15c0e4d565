package recipe

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"slimlab/internal/wrongfile"
)

// FactsFile is the file of an artifact that holds what its stage knows of it beside the model. It
// is no part of the model.
const FactsFile = "slimlab.json"

// FileName is the file that holds the canonical text of the recipe of the files beside it.
const FileName = "slimlab-recipe.json"

// Sum is the hexadecimal SHA-256 of what r has left, and its size.
func Sum(ctx context.Context, r io.Reader) (sum string, size int64, err error) {
	h := sha256.New()
	size, err = io.Copy(h, reader{ctx, r})
	return hex.EncodeToString(h.Sum(nil)), size, err
}

// reader ends when its context does.
type reader struct {
	ctx context.Context
	of  io.Reader
}

func (r reader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.of.Read(b)
}

// Text is the Sum of a text.
func Text(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// File is the Sum of a file.
func File(ctx context.Context, name string) (string, error) {
	return fileIn(ctx, os.DirFS(filepath.Dir(name)), filepath.Base(name))
}

func fileIn(ctx context.Context, folder fs.FS, name string) (string, error) {
	f, err := folder.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum, _, err := Sum(ctx, f)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return sum, nil
}

// readingVersion is raised when the files of a folder are read as another model than before: what
// was made of such a folder is then made anew. Version 1 takes GPTQ's zero points for those of the
// version that they have.
const readingVersion = 1

// Files are the Sums of the files of a checkpoint's folder that belong to its model: config,
// tokenizer, chat template and tensors. All bytes are read each time; a gigabyte takes about a
// second.
func Files(ctx context.Context, folder fs.FS) (map[string]string, error) {
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, e := range entries {
		if !ModelFile(e) {
			continue
		}
		if files[e.Name()], err = fileIn(ctx, folder, e.Name()); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// Content names the content of a checkpoint's folder, all of its Files.
func Content(ctx context.Context, folder fs.FS) (string, error) {
	files, err := Files(ctx, folder)
	if err != nil {
		return "", err
	}
	return ContentOf(files), nil
}

// ContentOf is Content of Files.
func ContentOf(files map[string]string) string {
	values := Values{}
	for name, sum := range files {
		values[name] = sum
	}
	return Recipe{Stage: "content", Version: readingVersion, Parameters: values}.Key()
}

// Checkpoint names the content of a checkpoint by its path: a folder or a GGUF file.
func Checkpoint(ctx context.Context, path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", err
	case info.IsDir():
		return Content(ctx, wrongfile.Folder(path))
	}
	if err := wrongfile.Check(path); err != nil {
		return "", err
	}
	return File(ctx, path)
}

// ModelFile reports whether a file of a checkpoint's folder belongs to its model: to the config,
// the tensors, the tokenizer or the chat template.
func ModelFile(e fs.DirEntry) bool {
	if e.IsDir() || e.Name() == FactsFile || e.Name() == FileName {
		return false
	}
	switch ending := strings.ToLower(path.Ext(e.Name())); ending {
	case ".json", ".safetensors", ".model", ".tiktoken", ".jinja":
		return true
	default:
		return e.Name() == "merges.txt"
	}
}

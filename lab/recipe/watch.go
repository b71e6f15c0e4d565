package recipe

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Watch notices that the files of a checkpoint are written while work reads them: what is made of
// them would be a mixture under the name of the first content. It compares sizes and times, and
// where those differ, contents.
type Watch struct {
	path    string
	content string
	name    func(ctx context.Context) (string, error)

	mu     sync.Mutex
	stamps map[string]stamp
}

type stamp struct {
	size    int64
	written time.Time
}

// NewWatch begins to watch the files of a checkpoint, before any of them is read. A path at which
// there is nothing, such as the name of an artifact, has no files that change.
func NewWatch(path string) *Watch { return &Watch{path: path, stamps: stampsOf(path)} }

// Files reports whether there are files to watch.
func (w *Watch) Files() bool { return len(w.stamps) > 0 }

// Name names the content, as name does.
func (w *Watch) Name(ctx context.Context, name func(ctx context.Context) (string, error)) (content string, err error) {
	w.name = name
	w.content, err = name(ctx)
	return w.content, err
}

// Check is an error of the files that Changed lists.
func (w *Watch) Check(ctx context.Context) error {
	changed, err := w.Changed(ctx)
	if err == nil && len(changed) > 0 {
		err = fmt.Errorf("%s: %s changed while it was read; run the command again when nothing writes it", w.path, strings.Join(changed, ", "))
	}
	return err
}

// Changed lists the files whose content is another than at the beginning, or, where it was not
// named, that were written since.
func (w *Watch) Changed(ctx context.Context) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := stampsOf(w.path)
	var changed []string
	for name, was := range w.stamps {
		if now[name] != was {
			changed = append(changed, name)
		}
	}
	for name := range now {
		if _, there := w.stamps[name]; !there {
			changed = append(changed, name)
		}
	}
	if len(changed) == 0 {
		return nil, nil
	}
	if w.name != nil {
		// the same bytes were written
		if content, err := w.name(ctx); err == nil && content == w.content {
			w.stamps = now
			return nil, nil
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	slices.Sort(changed)
	return changed, nil
}

// stampsOf lists the files of a checkpoint, a folder or a file.
func stampsOf(path string) map[string]stamp {
	stamps := map[string]stamp{}
	info, err := os.Stat(path)
	if err != nil {
		return stamps
	}
	if info.Mode().IsRegular() {
		stamps[filepath.Base(path)] = stamp{info.Size(), info.ModTime()}
		return stamps
	}
	entries, err := os.ReadDir(path) // which a device or pipe has none of
	if err != nil {
		return stamps
	}
	for _, e := range entries {
		if !ModelFile(e) {
			continue
		}
		// follows links, as reading does
		if info, err := fs.Stat(os.DirFS(path), e.Name()); err == nil {
			stamps[e.Name()] = stamp{info.Size(), info.ModTime()}
		}
	}
	return stamps
}

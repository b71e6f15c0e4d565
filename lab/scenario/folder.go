package scenario

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Beginning returns the text of a file as far as a scenario can be long, whatever it holds; ""
// where it cannot be read.
func Beginning(file string) string {
	if _, err := StampOf(file); err != nil {
		return ""
	}
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, err := read(file, f)
	if err != nil {
		return ""
	}
	return strings.ToValidUTF8(string(text), "\uFFFD")
}

// IsFile reports whether a name is that of a scenario file: it ends in .yaml or .yml.
func IsFile(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	return ext == ".yaml" || ext == ".yml"
}

// Folder lists the scenario files of a folder. It opens a file again only when its size or its time
// has changed. Its methods may be called from several goroutines.
type Folder struct {
	dir  string
	mu   sync.Mutex
	seen map[string]seenFile
}

type seenFile struct {
	stamp    Stamp
	scenario bool
	name     string
}

// FolderFile is a scenario file of a folder.
type FolderFile struct {
	File string // its name within the folder
	// Name is that of the scenario: its key name, or else the file's. It is found without loading
	// the file.
	Name  string
	Stamp Stamp
}

// Stamp is the size and the time of a file: they change when the file does.
type Stamp struct {
	Size     int64
	Modified time.Time
}

// StampOf returns the stamp of a file that can be read as a scenario. A folder, a pipe or a device
// is an error: reading it might never end.
func StampOf(file string) (Stamp, error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Stamp{}, fmt.Errorf("scenario file %s: %w", file, ErrNotFound)
	case err != nil:
		return Stamp{}, fmt.Errorf("scenario: %w", err)
	case info.IsDir():
		return Stamp{}, fmt.Errorf("scenario %s: found a folder, expected a YAML file", file)
	case !info.Mode().IsRegular():
		return Stamp{}, fmt.Errorf("scenario %s: found a pipe or a device, expected a YAML file", file)
	}
	return Stamp{info.Size(), info.ModTime()}, nil
}

// OpenFolder names a folder. It reads nothing.
func OpenFolder(dir string) *Folder { return &Folder{dir: dir, seen: map[string]seenFile{}} }

// Files lists the scenario files in order of their names: YAML files with the key task or pipeline,
// whether or not they load, and files that cannot be read. others counts the remaining YAML files.
func (f *Folder) Files() (files []FolderFile, others int, err error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, 0, fmt.Errorf("scenarios: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := make(map[string]seenFile, len(f.seen))
	for _, e := range entries {
		if !IsFile(e.Name()) || e.IsDir() {
			continue
		}
		path := filepath.Join(f.dir, e.Name())
		stamp, err := StampOf(path)
		if err != nil {
			continue // removed since, or no file behind a link
		}
		one, known := f.seen[e.Name()]
		if !known || one.stamp != stamp {
			one = seenFile{stamp: stamp}
			one.name, one.scenario = glance(path)
		}
		if seen[e.Name()] = one; one.scenario {
			files = append(files, FolderFile{e.Name(), one.name, stamp})
		} else {
			others++
		}
	}
	f.seen = seen
	return files, others, nil
}

var (
	// scenarioKey finds one of the keys that every scenario has, in block and in flow style.
	scenarioKey = regexp.MustCompile(`(?m)^(\x{FEFF}?\{\s*)?["']?(task|pipeline)["']?[ \t]*:`)
	nameKey     = regexp.MustCompile(`(?m)^name:[ \t]*("[^"\n]*"|'[^'\n]*'|[^#\n]*)`)
)

// glance reports whether a file has a key of scenarios, and the scenario's name. A file that cannot
// be read may be one.
func glance(file string) (name string, scenario bool) {
	name = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	f, err := os.Open(file)
	if err != nil {
		return name, true
	}
	defer f.Close()
	text, err := read(file, f)
	if err != nil {
		return name, true
	}
	if m := nameKey.FindSubmatch(text); m != nil {
		if given := strings.Trim(string(m[1]), " \t\r\"'"); given != "" {
			name = given
		}
	}
	return name, scenarioKey.Match(text)
}

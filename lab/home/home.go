package home

import (
	"fmt"
	"os"
	"path/filepath"

	"slimlab/lab/store"
)

// Home is a folder with the logs of runs and artifacts.
type Home struct {
	Folder    string
	Version   string // of the program; part of the keys of timings
	Logs      *store.Store
	Artifacts *store.Artifacts
}

// Folder returns the folder in which slimlab keeps runs and artifacts: $SLIMLAB_HOME, or slimlab
// under $XDG_DATA_HOME or ~/.local/share.
func Folder() (string, error) {
	if dir := os.Getenv("SLIMLAB_HOME"); dir != "" {
		return filepath.Abs(dir)
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "slimlab"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("home folder: %w; set SLIMLAB_HOME", err)
	}
	return filepath.Join(home, ".local", "share", "slimlab"), nil
}

// Open names a home. It reads nothing and makes nothing: the folder is made by the first write.
func Open(folder, version string) *Home {
	return &Home{
		Folder: folder, Version: version,
		Logs:      store.Open(filepath.Join(folder, "runs")),
		Artifacts: store.OpenArtifacts(filepath.Join(folder, "artifacts")),
	}
}

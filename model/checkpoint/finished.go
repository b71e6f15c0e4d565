package checkpoint

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"slimlab/internal/msgpackread"
	"slimlab/model"

	"github.com/vmihailenco/msgpack/v5"
)

// finished is what is known of a layer that is written, in a file of its own beside the model's
// folder. The file comes when the layer's has its name and was read again: a layer is finished with
// it.
type finished struct {
	Sum      uint32 // CRC-32 of the layer's file
	Widths   model.LayerConfig
	Storages []Storage // of its linear layers
	Account  []byte    // what was said of it, see Writer.Note
}

// finishedFile is the name of a layer's record.
func (w *Writer) finishedFile(layer int) string {
	return fmt.Sprintf("%s%05d", recordPrefix, layer)
}

// record keeps what is known of a layer, with a checksum before it.
func (w *Writer) record(layer int, f finished) error {
	data, err := msgpack.Marshal(f)
	if err != nil {
		return err
	}
	return w.partial.write(w.finishedFile(layer), append(binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(data)), data...))
}

// errDamaged is the error of a record that is not what was written.
var errDamaged = errors.New("it is damaged")

// readRecord reads what is known of a layer.
func (w *Writer) readRecord(layer int) (f finished, err error) {
	data, err := os.ReadFile(w.partial.file(w.finishedFile(layer)))
	if err != nil {
		return f, err
	}
	if len(data) < 4 || crc32.ChecksumIEEE(data[4:]) != binary.LittleEndian.Uint32(data) {
		return f, errDamaged
	}
	if err := msgpackread.Decode(data[4:], &f); err != nil || len(f.Storages) != linearsPerLayer {
		return f, errDamaged
	}
	return f, nil
}

// Lost says what of the unfinished work was lost, and so is made again. The zero value is nothing.
type Lost struct {
	Layer int
	File  string // of the layer
	Why   string // of the file: "is gone"
	Again int    // finished layers behind it, which were made of what it had become
}

// Lost returns what of the unfinished work was lost.
func (w *Writer) Lost() Lost { return w.lost }

// look finds the finished layers, as far as none before them is missing, in the checkpoint folder
// model. Every one of their files is read and compared with its checksum.
func (w *Writer) look(ctx context.Context, folder string) error {
	w.done, w.lost = 0, Lost{}
	for layer := range w.config.Layers {
		f, why, err := w.find(ctx, folder, layer)
		if err != nil {
			return err
		}
		if f == nil && why == "" {
			continue
		}
		if intact := why == ""; intact && layer == w.done {
			w.done++
			w.config.Layers[layer] = f.Widths
			copy(w.storages[layer*linearsPerLayer:], f.Storages)
			w.accounts[layer] = f.Account
			continue
		}
		switch first := w.lost == (Lost{}); {
		case first && layer == w.done:
			w.lost = Lost{Layer: layer, File: w.shard(layer + 1), Why: why}
		case first: // nothing is known of the one before
			w.lost = Lost{Layer: w.done, File: w.finishedFile(w.done), Why: "is gone"}
		}
		if why == "" {
			w.lost.Again++
		}
	}
	return nil
}

// find returns the record of a layer, nil where there is none, and why the layer is not as it was
// when that was written.
func (w *Writer) find(ctx context.Context, folder string, layer int) (f *finished, why string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	found, err := w.readRecord(layer)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, "", nil
	case errors.Is(err, errDamaged):
		return nil, "has a damaged record, " + w.finishedFile(layer), nil
	case err != nil:
		return nil, "", err
	}
	sum, err := checksum(filepath.Join(folder, w.shard(layer+1)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &found, "is gone", nil
	case err == nil && sum != found.Sum:
		return &found, "is damaged", nil
	}
	return &found, "", err
}

// dropUnfinished removes what there is of layers that are not finished, and files that follow from
// those that are, or come with the last step.
func (w *Writer) dropUnfinished() error {
	var names []string
	for layer := range w.config.Layers {
		name := filepath.Join(w.Folder(), w.shard(layer+1))
		names = append(names, name+makingEnd)
		if layer >= w.done {
			names = append(names, name, w.partial.file(w.finishedFile(layer)))
		}
	}
	for _, name := range append(slices.Clone(otherFiles), gptqConfigName) {
		names = append(names, filepath.Join(w.Folder(), name))
	}
	for _, name := range names {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// FinishedBytes counts the bytes of the layers that a Writer has finished of the checkpoint dir.
func FinishedBytes(dir string) (bytes int64) {
	if !Unfinished(dir) {
		return 0
	}
	entries, err := os.ReadDir(partialOf(dir).model())
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && filepath.Ext(e.Name()) == ".safetensors" {
			bytes += info.Size()
		}
	}
	return bytes
}

// checksum is that of a file's content.
func checksum(name string) (uint32, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	sum := crc32.NewIEEE()
	_, err = io.Copy(sum, f)
	return sum.Sum32(), err
}

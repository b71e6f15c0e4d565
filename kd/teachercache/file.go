package teachercache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"slimlab/internal/wrongfile"
)

// entry is where an example's record is: its length, its content and its checksum.
type entry struct {
	at   int64
	size int
}

// Cache is an open file of distributions. Its methods may be called by one goroutine at a time.
type Cache struct {
	Header
	Stats
	name    string
	data    io.ReaderAt
	closer  io.Closer
	entries map[key]entry
	buffer  []byte
}

// Stats say what a cache costs and keeps.
type Stats struct {
	Bytes int64 // of the whole file
	// mean entropy of the rows in nats, and the part of it in the tokens that the file keeps
	Entropy, EntropyKept float64
}

// BytesPerToken is the file's size by its rows, with the header and the index.
func (c *Cache) BytesPerToken() float64 { return float64(c.Bytes) / float64(max(1, c.Tokens)) }

// Open opens a cache and reads its header and index. Its errors name the file.
func Open(name string) (*Cache, error) {
	f, err := wrongfile.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	c, err := read(f, info.Size(), name)
	if err != nil {
		f.Close()
		return nil, err
	}
	c.closer = f
	return c, nil
}

// Close closes the file.
func (c *Cache) Close() error {
	if c.closer == nil {
		return nil
	}
	return c.closer.Close()
}

// Check reports with ErrStale how the cache differs from what a run needs.
func (c *Cache) Check(spec Spec, source Source) error {
	if err := c.stale(spec, source); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return nil
}

// Verify reads every record, and reports the first that does not fit its checksum.
func (c *Cache) Verify() error {
	for k, e := range c.entries {
		if _, err := c.record(e); err != nil {
			return fmt.Errorf("%s: key %v: %w", c.name, k, err)
		}
	}
	return nil
}

func read(r io.ReaderAt, size int64, name string) (*Cache, error) {
	c := &Cache{name: name, data: r}
	c.Bytes = size
	if err := c.readParts(r, size); err != nil {
		if errors.Is(err, ErrDamaged) {
			return nil, fmt.Errorf("%s: %w: build it again", name, err)
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

func (c *Cache) readParts(r io.ReaderAt, size int64) error {
	h, start, err := readHeader(r, size)
	if err != nil {
		return err
	}
	c.Header = h
	if size < start+int64(footerSize) {
		return fmt.Errorf("%w: it is cut after %d bytes", ErrDamaged, size)
	}
	footer := make([]byte, footerSize)
	if err := readAt(r, footer, size-int64(footerSize)); err != nil {
		return err
	}
	footer, ok := checked(footer)
	if !ok || string(footer[16:]) != endMagic {
		return fmt.Errorf("%w: it is cut, or its last %d bytes are", ErrDamaged, footerSize)
	}
	at, length := binary.LittleEndian.Uint64(footer), binary.LittleEndian.Uint64(footer[8:])
	if at > uint64(size) || length > uint64(size) || at < uint64(start) || at+length+uint64(footerSize) != uint64(size) {
		return fmt.Errorf("%w: its index would be bytes %d to %d of %d", ErrDamaged, at, at+length, size)
	}
	index := make([]byte, length)
	if err := readAt(r, index, int64(at)); err != nil {
		return err
	}
	if index, ok = checked(index); !ok {
		return fmt.Errorf("%w: its index does not fit its checksum", ErrDamaged)
	}
	return c.readIndex(index, start, int64(at))
}

// readIndex reads where the records from start to end are.
func (c *Cache) readIndex(index []byte, start, end int64) error {
	r := reading{data: index}
	c.Entropy = math.Float64frombits(binary.LittleEndian.Uint64(r.take(8)))
	c.EntropyKept = math.Float64frombits(binary.LittleEndian.Uint64(r.take(8)))
	c.entries = make(map[key]entry, min(c.Examples, len(index)/keySize))
	for len(r.data) > 0 {
		k := key(r.take(keySize))
		n := r.uvarint()
		if r.bad || n < 5 || n > uint64(end-start) {
			return fmt.Errorf("%w: its index names a record outside the file", ErrDamaged)
		}
		c.entries[k] = entry{start, int(n)}
		start += int64(n)
	}
	if r.bad || start != end || len(c.entries) != c.Examples {
		return fmt.Errorf("%w: its index names %d records of %d", ErrDamaged, len(c.entries), c.Examples)
	}
	return nil
}

// record reads a record, valid until the next call.
func (c *Cache) record(e entry) ([]byte, error) {
	if cap(c.buffer) < e.size {
		c.buffer = make([]byte, e.size)
	}
	data := c.buffer[:e.size]
	if err := readAt(c.data, data, e.at); err != nil {
		return nil, err
	}
	payload, n := recordIn(data)
	if n != len(data) {
		return nil, fmt.Errorf("%w: the record at byte %d does not fit its checksum: build it again", ErrDamaged, e.at)
	}
	return payload, nil
}

// appendRecord adds a record to data.
func appendRecord(data, payload []byte) []byte {
	from := len(data)
	data = append(binary.AppendUvarint(data, uint64(len(payload))), payload...)
	return binary.LittleEndian.AppendUint32(data, crc32.Checksum(data[from:], castagnoli))
}

// recordIn returns the record at the beginning of data and its size there; 0 is none that is whole.
func recordIn(data []byte) (payload []byte, size int) {
	n, prefix := binary.Uvarint(data)
	if prefix <= 0 || n < entropyBytes || n > uint64(len(data)) || prefix+int(n)+4 > len(data) {
		return nil, 0
	}
	size = prefix + int(n) + 4
	whole, ok := checked(data[:size])
	if !ok {
		return nil, 0
	}
	return whole[prefix:], size
}

// appendIndex adds the index and the footer of records.
func appendIndex(data []byte, at int64, keys []key, sizes []int, s Stats) []byte {
	index := binary.LittleEndian.AppendUint64(nil, math.Float64bits(s.Entropy))
	index = binary.LittleEndian.AppendUint64(index, math.Float64bits(s.EntropyKept))
	for i, k := range keys {
		index = binary.AppendUvarint(append(index, k[:]...), uint64(sizes[i]))
	}
	index = withChecksum(index)
	footer := binary.LittleEndian.AppendUint64(nil, uint64(at))
	footer = binary.LittleEndian.AppendUint64(footer, uint64(len(index)))
	return bytes.Join([][]byte{data, index, withChecksum(append(footer, endMagic...))}, nil)
}

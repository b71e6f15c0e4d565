// Package stamped writes and reads what is kept between two runs of the program: a mark that says
// what follows and in which form, the content, and a checksum of both.
//
// It promises that content which was cut short or changed at any byte is an error of Read, and that
// Read consumes no more of its source than it buffers. It leaves out where the content is kept, and
// what it is: a reader of it bounds what it takes memory for, as the checksum is known last.
package stamped

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

const buffer = 1 << 20 // bytes

// Write writes the mark, what fill writes, and the checksum.
func Write(w io.Writer, mark string, fill func(io.Writer) error) error {
	sum := crc32.NewIEEE()
	out := bufio.NewWriterSize(io.MultiWriter(w, sum), buffer)
	if _, err := out.WriteString(mark); err != nil {
		return err
	}
	if err := fill(out); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return binary.Write(w, binary.LittleEndian, sum.Sum32())
}

// Read has take read the content that Write wrote with the mark. take returns before the checksum
// is known: what it has read counts only where Read returns no error.
func Read(r io.Reader, mark string, take func(io.Reader) error) error {
	err := read(r, mark, take)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it is cut short")
	}
	return err
}

func read(r io.Reader, mark string, take func(io.Reader) error) error {
	sum := crc32.NewIEEE()
	source := bufio.NewReaderSize(r, buffer)
	in := io.TeeReader(source, sum)
	found := make([]byte, len(mark))
	if _, err := io.ReadFull(in, found); err != nil {
		return err
	}
	if string(found) != mark {
		return fmt.Errorf("it begins with %q, expected %q", found, mark)
	}
	if err := take(in); err != nil {
		return err
	}
	want := sum.Sum32()
	var kept uint32
	if err := binary.Read(source, binary.LittleEndian, &kept); err != nil {
		return err
	}
	if kept != want {
		return fmt.Errorf("its checksum is %08x, expected %08x: it is damaged", want, kept)
	}
	return nil
}

package machine

import (
	"context"
	"fmt"
	"unsafe"

	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
)

// Loop is the densest arithmetic of one kind on registers: the most that one thread computes.
// Kernels are compared with it. A sum waits for nothing but its own last addition, and no memory is
// touched.
type Loop struct {
	Format      string // of the factors: "float32", "bfloat16" or "int8"
	Instruction string // that computes, such as "VFMADD231PS, 512 bits"
	Operations  int    // multiplications and additions of a round

	run func(rounds int)
}

// Run runs rounds rounds on each of the threads, as far as parallel.Threads allows.
func (l *Loop) Run(threads, rounds int) { parallel.For(threads, func(int) { l.run(rounds) }) }

// Loops returns the loops with the arithmetic of an implementation of package kernels, float32
// first. A format whose products the implementation computes in another format has none. A name
// that this build and CPU cannot run gives the loops of plain Go.
func Loops(implementation string) []Loop { return loops(implementation) }

// ReadBuffer is memory for measuring the bandwidth of reads.
type ReadBuffer struct{ data []byte }

// ReadBlock is the number of bytes that Read handles at once.
const ReadBlock = 512

// NewReadBuffer returns a buffer of at least n bytes. It writes to all of it once: memory that was
// never written to is one page of zeros, read from the caches. The error is that of a ctx that
// ended.
func NewReadBuffer(ctx context.Context, n int) (*ReadBuffer, error) {
	b := &ReadBuffer{memory.Aligned[byte]((max(n, 1) + ReadBlock - 1) / ReadBlock * ReadBlock)}
	const part = 1 << 26 // written between two looks at ctx
	for start := 0; start < len(b.data); start += part {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		data := b.data[start:min(start+part, len(b.data))]
		parallel.Range(len(data), 1<<24, func(lo, hi int) {
			for i := lo; i < hi; i += 4096 {
				data[i] = 1
			}
		})
	}
	return b, nil
}

// Len is the buffer's size in bytes.
func (b *ReadBuffer) Len() int { return len(b.data) }

// Read reads the first n bytes of the buffer times times, each of the threads a consecutive part,
// and returns the number of bytes that were read: a multiple of ReadBlock for each thread and time,
// hence some more or less than n·times.
func (b *ReadBuffer) Read(n, times, threads int) int64 {
	part := max(n/threads/ReadBlock, 1) * ReadBlock
	if part*threads > len(b.data) {
		panic(fmt.Sprintf("machine: reading %d bytes with %d threads from a buffer of %d", n, threads, len(b.data)))
	}
	parallel.For(threads, func(i int) {
		own := b.data[i*part : (i+1)*part]
		for range times {
			Read(own)
		}
	})
	return int64(part) * int64(threads) * int64(times)
}

// Read reads b once, in the widest vectors that the CPU has. It panics where len(b) is not a
// positive multiple of ReadBlock.
func Read(b []byte) {
	if len(b) == 0 || len(b)%ReadBlock != 0 {
		panic(fmt.Sprintf("machine: Read of %d bytes, expected a positive multiple of %d", len(b), ReadBlock))
	}
	read(b)
}

var loopsRef = []Loop{
	{"float32", "plain Go", 2 * 8, peakFloat32Ref},
	{"int8", "plain Go", 2 * 8, peakInt8Ref},
}

// peakFloat32Ref has eight chains that begin differently, so that the compiler cannot merge any
// two. Products are rounded, as they are in the reference kernels. The chains converge to 2.
func peakFloat32Ref(rounds int) {
	var a, b, c, d, e, f, g, h float32 = 1, 2, 3, 4, 5, 6, 7, 8
	x, y := float32(0.5), float32(1)
	for range rounds {
		a = float32(a*x) + y
		b = float32(b*x) + y
		c = float32(c*x) + y
		d = float32(d*x) + y
		e = float32(e*x) + y
		f = float32(f*x) + y
		g = float32(g*x) + y
		h = float32(h*x) + y
	}
	keep(a, b, c, d, e, f, g, h)
}

// peakInt8Ref multiplies in 32 bits, as the reference kernels do.
func peakInt8Ref(rounds int) {
	var a, b, c, d, e, f, g, h int32 = 1, 2, 3, 4, 5, 6, 7, 8
	x, y := int32(rounds|1), int32(1)
	for range rounds {
		a = a*x + y
		b = b*x + y
		c = c*x + y
		d = d*x + y
		e = e*x + y
		f = f*x + y
		g = g*x + y
		h = h*x + y
	}
	keep(a, b, c, d, e, f, g, h)
}

func readRef(b []byte) {
	words := unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/8)
	var c, d, e, f, g, h, i, j uint64
	for len(words) >= 8 {
		w := words[:8]
		c |= w[0]
		d |= w[1]
		e |= w[2]
		f |= w[3]
		g |= w[4]
		h |= w[5]
		i |= w[6]
		j |= w[7]
		words = words[8:]
	}
	keep(c, d, e, f, g, h, i, j)
}

// keep makes the compiler compute its arguments.
//
//go:noinline
func keep[T any](_, _, _, _, _, _, _, _ T) {}

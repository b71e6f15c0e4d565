package kernels

import (
	"fmt"
	"unsafe"
)

// Loop is the densest arithmetic of one kind on registers: what one thread computes at most.
// Kernels are held against it. A sum that is added to waits for nothing but itself, and no memory
// is touched.
type Loop struct {
	Format      string // of the factors: "float32", "bfloat16" or "int8"
	Instruction string // what it is made of, such as "VFMADD231PS, 512 bits"
	Operations  int    // multiplications and additions of a round

	run func(rounds int)
}

// Run makes rounds rounds on each of so many threads, as far as Threads allows.
func (l *Loop) Run(threads, rounds int) { Parallel(threads, func(int) { l.run(rounds) }) }

// Loops returns the loops of the implementation in use, float32 first. A format whose products it
// computes by way of another has none.
func Loops() []Loop { return loops(Implementation()) }

// ReadBuffer is memory to measure the bandwidth of reading with.
type ReadBuffer struct{ data []byte }

// readBlock is what the loops that read take at once.
const readBlock = 512

// NewReadBuffer returns a buffer of at least n bytes. It writes to all of it once: memory that was
// never written to is one page of zeros, read from the caches.
func NewReadBuffer(n int) *ReadBuffer {
	b := &ReadBuffer{aligned[byte]((max(n, 1) + readBlock - 1) / readBlock * readBlock)}
	ParallelRange(len(b.data), 1<<24, func(lo, hi int) {
		for i := lo; i < hi; i += 4096 {
			b.data[i] = 1
		}
	})
	return b
}

// Len is the buffer's size in bytes.
func (b *ReadBuffer) Len() int { return len(b.data) }

// Read reads the first n bytes of the buffer times times, each of the threads a consecutive part of
// its own, and returns the bytes that were read: a multiple of 512 for each thread and time, hence
// some more or less than n·times.
func (b *ReadBuffer) Read(n, times, threads int) int64 {
	part := max(n/threads/readBlock, 1) * readBlock
	if part*threads > len(b.data) {
		panic(fmt.Sprintf("kernels: reading %d bytes with %d threads from a buffer of %d", n, threads, len(b.data)))
	}
	read := reader(Implementation())
	Parallel(threads, func(i int) {
		mine := b.data[i*part : (i+1)*part]
		for range times {
			read(mine)
		}
	})
	return int64(part) * int64(threads) * int64(times)
}

var loopsRef = []Loop{
	{"float32", "plain Go", 2 * 8, peakFloat32Ref},
	{"int8", "plain Go", 2 * 8, peakInt8Ref},
}

// peakFloat32Ref has eight chains that begin differently, so that none is the same as another to
// the compiler. Products are rounded, as they are in the reference kernels. The chains converge to
// 2.
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

// keep makes its caller compute what it is given.
//
//go:noinline
func keep[T any](_, _, _, _, _, _, _, _ T) {}

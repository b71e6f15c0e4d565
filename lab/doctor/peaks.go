package doctor

import (
	"fmt"

	"slimlab/kernels/machine"
)

// rounds of a loop make some 0.1 ms, so that starting and ending it on several threads counts
// little.
const rounds = 1 << 14

// limits are the machine's peaks as they can be measured at any moment.
type limits struct {
	cpu    machine.CPU
	loops  []machine.Loop
	buffer *machine.ReadBuffer
}

// bufferSize is large enough for memory to be read from memory: half a GiB a thread, or eight times
// the third cache; a GiB at most.
func bufferSize(l3 int64, threads int) int {
	return int(min(1<<30, max(int64(threads)<<29, 8*l3)))
}

// loop finds the arithmetic of a format; one without a loop of its own is computed by way of
// float32.
func (l *limits) loop(format string) *machine.Loop {
	for i := range l.loops {
		if l.loops[i].Format == format {
			return &l.loops[i]
		}
	}
	return &l.loops[0]
}

// compute is a loop as work; so many operations are one time.
func compute(loop *machine.Loop, threads int) (w work, operations float64) {
	return func(times int) { loop.Run(threads, times*rounds) }, float64(loop.Operations) * rounds * float64(threads)
}

// read is reading n bytes over and over; so many are one time. More than the buffer has is read as
// all of it.
func (l *limits) read(n float64, threads int) (w work, bytes float64) {
	size := min(int(n), l.buffer.Len())
	w = func(times int) { l.buffer.Read(size, times, threads) }
	return w, float64(l.buffer.Read(size, 1, threads))
}

// level names the memory that n bytes, read in equal parts by threads, stay in.
func (l *limits) level(n float64, threads int) string {
	part := n / float64(threads)
	switch {
	case part <= float64(l.cpu.L1):
		return "L1"
	case part <= float64(l.cpu.L2):
		return "L2"
	case n <= float64(l.cpu.L3):
		return "L3"
	}
	return "DRAM"
}

// demand is what a piece of work cannot do without. Either of its halves may be 0.
type demand struct {
	arithmetic string // the Loop that does its operations
	operations float64
	bytes      float64 // of the memory that it touches
	passes     float64 // over these bytes
}

// bound is what a peak, measured as work, says of a demand.
type bound struct {
	name   string  // of the peak
	demand float64 // in the unit of amount
	amount float64 // that one time of the peak's work does
}

// compare measures w, whose demand is that of one time, interleaved with what limits it. It returns
// the seconds of each sample too.
func (l *limits) compare(s *stopwatch, w work, d demand, threads int) (t Timing, samples []float64) {
	works, bounds := []work{w}, []bound{}
	if d.operations > 0 {
		loop := l.loop(d.arithmetic)
		w, amount := compute(loop, threads)
		works, bounds = append(works, w), append(bounds, bound{loop.Format, d.operations, amount})
	}
	if d.bytes > 0 {
		w, amount := l.read(d.bytes, threads)
		works, bounds = append(works, w), append(bounds, bound{l.level(d.bytes, threads), d.bytes * d.passes, amount})
	}
	seconds := s.interleave(works...)
	return newTiming(threads, seconds[0], bounds, seconds[1:]), seconds[0]
}

// newTiming finds, of the bounds, whose works took seconds [bounds][samples], the one that allows
// the least.
func newTiming(threads int, samples []float64, bounds []bound, seconds [][]float64) Timing {
	t := Timing{Threads: threads, Seconds: newSample(samples)}
	for i, b := range bounds {
		if least := newSample(seconds[i]).Median * b.demand / b.amount; least > t.Least {
			t.Limit, t.Least = b.name, least
		}
	}
	t.Share = t.Least / t.Seconds.Median
	return t
}

// peaks measures all of them, on one thread and on all.
func (l *limits) peaks(s *stopwatch, threads int) []Peak {
	var list []Peak
	measure := func(name, unit, means string, on func(threads int) (work, float64)) {
		one, amount := on(1)
		works, amounts := []work{one}, []float64{amount}
		if threads > 1 {
			all, amount := on(threads)
			works, amounts = append(works, all), append(amounts, amount)
		}
		seconds := s.interleave(works...)
		p := Peak{Name: name, Unit: unit, Means: means, One: newSample(rates(seconds[0], amounts[0]))}
		if threads > 1 {
			all := newSample(rates(seconds[1], amounts[1]))
			p.All = &all
		}
		list = append(list, p)
	}
	for i := range l.loops {
		loop := &l.loops[i]
		measure(loop.Format, operationsPerSecond, loop.Instruction, func(threads int) (work, float64) { return compute(loop, threads) })
	}
	for _, m := range l.memory(threads) {
		measure(m.level, bytesPerSecond, m.means(), func(threads int) (work, float64) { return l.read(m.size(threads), threads) })
	}
	return list
}

// memory is what to read to see a level's bandwidth.
type memory struct {
	level  string
	bytes  int64 // of each thread, or of all of them
	shared bool
}

// memory lists the levels that the CPU has. Of a cache three quarters are read, of the third a
// quarter: other cores, and other machines, are in it too.
func (l *limits) memory(threads int) []memory {
	var list []memory
	if l.cpu.L1 > 0 {
		list = append(list, memory{"L1", l.cpu.L1 * 3 / 4, false})
	}
	if l.cpu.L2 > 0 {
		list = append(list, memory{"L2", l.cpu.L2 * 3 / 4, false})
	}
	if l.cpu.L3 > int64(threads)*l.cpu.L2 {
		list = append(list, memory{"L3", max(l.cpu.L3/4, int64(threads)*l.cpu.L2*2), true})
	}
	return append(list, memory{"DRAM", int64(l.buffer.Len()), true})
}

func (m memory) size(threads int) float64 {
	if m.shared {
		return float64(m.bytes)
	}
	return float64(m.bytes) * float64(threads)
}

func (m memory) means() string {
	if m.shared {
		return "reading " + binarySize(m.bytes)
	}
	return fmt.Sprintf("reading %s a thread", binarySize(m.bytes))
}

// binarySize writes a size as those of caches are written: "24 KiB", "1 MiB".
func binarySize(n int64) string {
	for _, unit := range []struct {
		bytes int64
		name  string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= unit.bytes {
			return fmt.Sprintf("%.3g %s", float64(n)/float64(unit.bytes), unit.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

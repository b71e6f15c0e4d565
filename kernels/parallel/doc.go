// Package parallel divides work among threads: For over single items, Range over ranges of rows.
// All kernels and everything above them share its one pool, whose size SetThreads sets.
//
// The pool keeps one goroutine for each thread beyond the caller. A caller that opens a region
// claims the workers that are idle at that moment, or still waking for a region that has ended, and
// works itself. The items are divided among them in consecutive runs, each handed out by a counter;
// a worker that finishes its run takes items from the others (work stealing). Neighbouring items
// are mostly adjacent in memory, so a thread reads on where it stopped, and finds in its cache what
// it wrote in the region before. When the counters have run out, the caller closes the region:
// workers that have not come yet stay out, and the caller waits only for those inside. So a caller
// never waits for a worker to become free, which is why regions may nest.
//
// It promises that each item is done once, that a panic reaches the caller, and that a region
// allocates nothing. It leaves out the order of the items and cancellation.
package parallel

// Package loadreport says what a load test came to: latencies with their definitions, rates,
// goodput under objectives, and what makes the figures doubtful.
//
// Summarize folds the records of serve/load. Every latency counts from the time for which a request
// was scheduled, so that a server that stalls, or a generator that is late, cannot hide what
// whoever asked has waited; those from when it was sent stand beside them as service latencies.
// Percentiles are interpolated linearly and have bootstrap intervals, which take requests as
// independent of each other: where a queue grows they are not, and the summary warns. A summary is
// written as text, as JSON with the keys of vLLM's benchmark, as a page of HTML, and its records as
// one JSON object a line. The package sends nothing and draws nothing but resamples.
package loadreport

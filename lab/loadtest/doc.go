// Package loadtest is a load test from its settings to its records: a workload and its arrivals, on
// an engine in this process, an OpenAI-compatible server, or an engine on simulated devices.
//
// The settings are the keys of scenarios and the flags of `slimlab bench-serve` alike. A Fleet's
// clock is simulated, so that a test of hours takes seconds; the engine behind it is the one that
// serves here. Latencies count from the time for which a request was scheduled, whatever sends it.
//
// The package leaves out what the figures come to in a report (package loadreport) and how
// workloads and devices are made (packages load and hardware).
package loadtest

// Package abtest compares two models or servers by traffic: quality and latency together, with
// intervals that may be looked at at any time.
//
// An Experiment asks each prompt of both arms, one after another in an order that is drawn, so that
// drift and warm caches fall on both alike; or, with a split, of one arm that is drawn. What is
// compared is the mean of paired differences, of latencies those of their logarithms. Its interval
// is a confidence sequence (stat.MeanSequence, stat.BoundedSequence): with the probability that the
// level says none of the report's intervals misses at any time, so the experiment may be stopped
// when it has decided. The level is divided by the number of metrics.
//
// Quality is what can be told of an answer: how it matches a reference, what log-probability the
// arm gives the reference, or, without one, how often both arms answer alike. Engines on simulated
// devices have latencies alone. The package leaves out how models and servers are opened.
package abtest

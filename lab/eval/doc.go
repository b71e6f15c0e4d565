// Package eval measures language models on files as they are published: perplexity of a text,
// multiple choice by likelihood, and a greedy continuation to read; one model, or one beside
// another.
//
// Each figure names the definition by which it was computed (windows, the tokens before a text, the
// divisor), since figures of the same name by different definitions differ by factors, and each has
// a 95% interval. Two models are measured on the same items, and their difference has an interval
// of its own, paired item by item: that of a difference is far narrower than those of its terms
// suggest.
//
// How the second model decides beside the first is measured on the same items: KL of the
// distributions, decisions that flip, right to wrong and wrong to right, and McNemar's exact test.
//
// Models are loaded one after the other, so that one at a time is in memory; of the first, the
// states behind its predictions and its head stay until they are compared. Continuations that
// share a context share its computation. The package leaves out where a MODEL comes from (see
// Models) and how text is generated (an engine of package serve does).
package eval

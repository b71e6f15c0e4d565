// Package serve is the engine: many requests on one model, continuously batched over a paged KV
// cache whose full pages are shared through a radix tree of prefixes.
//
// Requests are token ids in, token ids or label logits out; text belongs to the caller. One
// goroutine owns all state: the waiting queue, the tree, the pages. Each step gives every decoding
// request one token of the budget first, then prefill chunks of admitted requests, then admits
// waiting ones in order of arrival. A waiting request whose prefix another request is computing
// right now waits for that prefix rather than computing it twice.
//
// The engine promises that its answers do not depend on the cache, the page size, the chunking, or
// on what else is in the batch: with the same seed they are the same token for token. A request
// that could never fit is refused when it is submitted; one that is admitted has its pages
// reserved, so nothing is ever preempted. It leaves out HTTP, chat templates and speculative
// decoding.
package serve

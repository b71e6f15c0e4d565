// Package serve is the engine: many requests at once, continuously batched over a paged KV cache
// whose full pages are shared through a radix tree of prefixes, one for each namespace. Where a
// prompt goes on inside a page as a cached one does, it begins with a copy of that page; where a
// whole prompt comes again, it begins with the logits that were kept of it.
//
// Requests are token ids in, token ids or label logits out; text belongs to the caller. The model
// is behind an Executor, which computes batches and owns the clock; package host has the one that
// runs on this machine. One goroutine owns all other state: the scheduler's queues, the pages, the
// sampler's memory. A step plans a batch, has the executor compute it, and chooses the next token
// of each sequence that has come to its end. The plan gives every decoding request one token of the
// budget first, then prefill chunks of admitted requests, then admits waiting ones in the order of
// a Policy, which passes none of them more often than Options say. A waiting request whose prefix
// another request is computing right now waits for that prefix rather than computing it twice.
//
// The engine promises that its answers do not depend on the cache, the page size, the chunking, the
// order of admission, or on what else is in the batch: with the same seed they are the same token
// for token. A request that could never fit is refused when it is submitted. One that is admitted
// has its pages reserved, so that it runs to its end; where Options reserve fewer, a request can be
// retracted for want of pages and goes on later with the same answer, and all come to their ends
// all the same. The requests that may wait are bounded in number, tokens and time, if Options say
// so. A caller that leaves frees all that its request holds within a step.
//
// Items are scored on one prompt in as few steps as the budget allows, each as if it alone followed
// the prompt; the prompt is cached like any other. Labels are scored without the pages too, layer
// by layer beside the batches, where a request says so or does not fit. Both give the same bits.
//
// A Constraint says which tokens may come next; package sample chooses among them, by a request's
// settings. A Draft has a smaller model foretell tokens, which a step then checks several at a
// time: it changes how many tokens a step gives, never which. PromptLogP tells what the model
// expects in the places of a prompt's tokens. A Snapshot says what the engine is doing; Pause has
// it rest, and Step take one step at a time, to look at it. The engine leaves out HTTP, chat
// templates and grammars.
package serve

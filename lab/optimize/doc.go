// Package optimize searches for the smallest model that keeps what is asked of it: a share of
// neurons and a number format for each layer, and a format of the KV cache for all.
//
// It is a search in two scenarios, which the caller runs as any other. The first measures what each
// layer loses by each way to make it smaller, one at a time (package sensitivity). From these
// losses, added up, it chooses candidates at several sizes (Space): for each size the best choice
// for every layer, the best shares beside each format of all layers, and uniform choices that come
// close, each with one or two formats of the KV cache. The second builds the candidates and
// measures them by the task's own metrics. By what they are the caller chooses more: smaller ones
// than the smallest that reaches all goals, or others where none does. Choose reads its rows:
// the Pareto front of bytes, bytes of the cache and divergence, and the smallest row that reaches
// all goals, or the one that misses them least.
//
// It leaves out running scenarios, and what is not in a candidate: heads, depth, and tokens.
package optimize

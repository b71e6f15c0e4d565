// Package calibrate runs a layer-wise compression method over a model: it moves calibration
// sequences through the layers, gathers statistics of the inputs of linear layers, and lets the
// method replace their weights.
//
// The residual stream of all sequences is kept, [tokens, hidden], and moved through one half of a
// layer at a time. A Method sees the statistics of an input before the linear layers that read it
// are used for good, and replaces them: the pass then goes on through the changed model, so that
// later layers are calibrated on what they will really see (the sequential order of OSSCAR and
// GPTQ: q, k, v, then o, then gate and up, then down, then the next layer). Inputs that no wanted
// linear layer reads are not gathered.
//
// A model need not be in memory: Layers brings its layers one at a time. Layers that were finished
// by an earlier pass are run but not compressed again.
//
// Promises: the statistics are those of exactly the given tokens (sequences are packed, there is no
// padding to leak in), attention's output is seen before o_proj, and the same sequences give the
// same bits whatever the number of threads. Products are summed in float32 over at most sumRows
// tokens; sums of these are float64. A pass ends soon after its context does, also within a layer.
//
// It leaves out: choosing and tokenizing the text, keeping statistics on disk.
package calibrate

// Package quant turns float32 linear layers into number formats that take less memory and multiply
// in that format.
//
// It is three things, each of which can be chosen for every linear layer on its own. A number
// format of package weight (W8A8, W8A16, W4A16 with or without zero points, W4A8, W3A16 or FP8)
// says what weights and activations are stored in; a Grid is its values with scales that fit a
// weight. A Rounder chooses codes on the grid: Nearest, GPTQ (Frantar et al., 2022: static groups,
// damping, blocked updates, optional act-order) or QuantEase (Behdin et al., 2023: coordinate
// descent, from GPTQ's codes too, and never worse than them). A Plan gives each linear layer a
// format and a rounder, its Scheme; uniform plans have the names that ParseScheme reads, and the
// Words of a step or a verb. Layers are calibrated one after another on the part of the model that
// is quantized already (package calibrate).
//
// Promises: codes are nearest to the scale as it is stored; rounding is to nearest, ties to even;
// embedding and head stay as they are, tied or not; each linear layer's report has the exact
// squared error on the calibration data; the same sequences give the same bits, also when the pass
// was interrupted between two layers.
//
// It leaves out: zero points of 8 bits or beside 8-bit activations, quantized KV caches, and the
// writing of files.
package quant

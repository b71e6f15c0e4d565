// Package pruning removes whole MLP neurons and whole groups of attention heads from a model and
// repairs the weights that remain.
//
// The method is OSSCAR (Meng et al., 2024): for each layer it chooses which input channels of
// down_proj (a neuron each) and of o_proj (the query heads of one KV head each, or single query
// heads, as many of each KV head) to keep so that the layer's output on calibration data changes
// least, and re-solves the kept weights by least squares. Every layer has a cut of its own, or all
// have the same.
//
// Baselines to beat keep the units u with the largest scores, or random ones:
//
//	norm-activation   Σ_{i∈u} Σ_o w_oi²·E[x_i²]
//	wanda-sp          Σ_{i∈u} Σ_o |w_oi|·√E[x_i²]
//	activation        Σ_{i∈u} E[x_i²]
//	flap              Σ_{i∈u} Σ_o w_oi²·Var(x_i)
//	taylor            |Σ_{i∈u} Σ_o w_oi·∂L/∂w_oi|
//	magnitude-l1      Σ_{i∈u} Σ_o |w_oi|
//	magnitude-l2      Σ_{i∈u} Σ_o w_oi²
//
// Wanda-sp is that of An et al. (2023) after Wanda (Sun et al., 2023), norm-activation the same
// with the L2 norm for its L1: so it is what removing a unit changes where channels are
// uncorrelated. Activation is Minitron's (Muralidharan et al., 2024), but takes the L2 norm over
// all tokens, where Minitron takes the mean of |x| over each sequence before the L2 norm over
// sequences. FLAP (An et al., 2024) adds the mean of what it removes to the bias of o_proj, where
// the model has one (down_proj never has); its widths are the same in all layers here. Taylor is
// LLM-Pruner's first order (Ma et al., 2023), with the loss L of the next tokens of the calibration
// sequences; it needs the whole model in memory, and sees it as it was before anything was removed.
// The L1 norm is that of Li et al. (2017). With the ending -ls each re-solves the kept weights by
// least squares: that shows how much of a gain is the update and how much the choice.
//
// The result is a smaller model, not a masked one: rows of gate_proj and up_proj (q_proj, k_proj,
// v_proj with their biases) are deleted, down_proj (o_proj) is the updated weight. Layers are
// pruned in order, attention before the MLP, and each is calibrated on the output of the already
// pruned ones (package calibrate).
//
// Promises: the same seed and sequences give the same bits, also when the pass was interrupted
// between two layers; with the same damping OSSCAR's objective is never above that of magnitude
// with repair, because it also searches from that support and keeps the better. Every report states
// both of the ratios that are called "pruned": per cent of neurons or heads, and per cent of all
// parameters.
//
// The ridge that makes a solution unique pulls to the weights as they were. Where o_proj has a bias
// it can be solved with the weights (Options.Intercept): the least error is never larger then.
//
// The supports of greedy removal are nested, so that one factorisation gives the error of every
// width of a layer. With a Budget the widths of the layers are those of the least sum of these
// errors, exactly: see allocate. What a width costs is a table, of its parameters or of the time
// that its products were measured to take.
//
// ChooseLayers removes whole layers instead: those that change the residual stream least (block
// importance, Men et al., 2024).
//
// It leaves out: retraining (a gradual schedule alternates Prune and distillation).
package pruning

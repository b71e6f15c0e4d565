package kd

import "slimlab/model/weight"

// Rounding rounds weights to a number format as they are read, so that a student learns what its
// rounded weights compute: training that knows of the quantization that follows. The weights that
// the optimizer changes stay float32.
type Rounding interface {
	// Activations says how the inputs of linear layers are rounded.
	Activations() weight.Activations
	// Parameters are the numbers that it learns beside the weights, such as logarithms of scales,
	// as they begin.
	Parameters() []float32
	// Round writes the rounded weights; both are in the order of Model.Flat. What is not rounded is
	// copied.
	Round(rounded, weights, parameters []float32)
	// Gradient turns the gradient of the rounded weights into that of the weights, in place, and
	// writes that of the parameters.
	Gradient(gradient, ofParameters, weights, parameters []float32)
}

// rounded is the state of a training through a Rounding.
type rounded struct {
	Rounding
	weights  int       // of the parameters of the training, the rest are the rounding's
	student  []float32 // the model's own memory: the rounded weights
	gradient []float32 // of all parameters
}

// begin makes the vector of all parameters of a training: the student's weights, then those of the
// rounding.
func (r *rounded) begin(student []float32) (parameters []float32) {
	r.student, r.weights = student, len(student)
	parameters = append(append(make([]float32, 0, len(student)), student...), r.Parameters()...)
	r.gradient = make([]float32, len(parameters))
	return parameters
}

// write gives the student the rounded weights.
func (r *rounded) write(parameters []float32) {
	r.Round(r.student, parameters[:r.weights], parameters[r.weights:])
}

// take makes the gradient of all parameters from that of the student's weights.
func (r *rounded) take(gradient, parameters []float32) []float32 {
	copy(r.gradient, gradient)
	r.Gradient(r.gradient[:r.weights], r.gradient[r.weights:], parameters[:r.weights], parameters[r.weights:])
	return r.gradient
}

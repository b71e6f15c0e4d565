package task

import (
	"fmt"
	"math"
)

// Doubt says that a model predicts its data no better than a guess does, or nothing. loss is a mean
// cross-entropy in nats per token; a guess gives each of the vocabulary's tokens the same
// probability, and its loss is ln(vocabulary) whatever the data are.
func Doubt(loss float64, vocabulary int) string {
	guess := math.Log(float64(vocabulary))
	if vocabulary < 2 || loss < guess {
		return ""
	}
	return fmt.Sprintf("a loss of %.4f nats per token is no better than a guess among its %d tokens (%.4f): are these the texts, and the form of prompt, that the model is for?", loss, vocabulary, guess)
}

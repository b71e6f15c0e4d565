package run

import (
	"slimlab/kd"
	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/task"
)

// relate adds the influence on key, which is the value of relative to the baseline's, less 1.
func (row *measured) relate(key, of string, base *measured) {
	mine, has := row.influence[of]
	its, had := base.influence[of]
	if !has || !had || mine.Test != its.Test || len(mine.Parts) != len(its.Parts) {
		return
	}
	both := lab.NewInfluence(mine.Test, mine.Unit, task.Relative(row.values[of].Value, mine.Values(), base.values[of].Value, its.Values()))
	both.Units = mine.Units
	row.influence[key] = both
}

// rankingTest names the test set of a task that ranks.
func (d *dataset) rankingTest() string {
	return recipe.Recipe{Stage: "ranking test", Task: d.test}.Key()
}

// validationTest names the validation examples, as the answer tokens of a tokenizer. They do not
// depend on the test set of a task that ranks.
func (d *dataset) validationTest(validation int) string {
	return recipe.Recipe{Stage: "validation test", Task: d.training, Tokenizer: d.tokenizer.Hash(), Parameters: recipe.Values{"validation": validation}}.Key()
}

// meanInfluence is that of examples on the mean of a value over all their answer tokens of a weight
// above 0; values are in the order of the examples. An example with more answers counts more. It
// names no test: it is kept in an artifact, whose reader knows it.
func meanInfluence(examples []kd.Example, values []float64) lab.Influence {
	var mean float64
	for _, x := range values {
		mean += x / float64(len(values))
	}
	of, at := make([]float64, len(examples)), 0
	for i, e := range examples {
		for t := range e.Answer {
			if e.Learned(t) {
				of[i] += (values[at] - mean) / float64(len(values))
				at++
			}
		}
	}
	return lab.NewInfluence("", "examples", of)
}

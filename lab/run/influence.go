package run

import (
	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/task"
)

// influences are what the units of a test set do to a value.
type influences struct {
	test, unit string // as in lab.Influence
	of         []float64
}

// influence packs what a log keeps.
func (row *measured) influence() map[string]lab.Influence {
	packed := map[string]lab.Influence{}
	for key, i := range row.influences {
		packed[key] = lab.NewInfluence(i.test, i.unit, i.of)
	}
	return packed
}

// relate adds the influences on key, which is the value of relative to the baseline's, less 1.
func (row *measured) relate(key, of string, base *measured) {
	mine, its := row.influences[of], base.influences[of]
	if len(mine.of) == 0 || mine.test != its.test || len(mine.of) != len(its.of) {
		return
	}
	row.influences[key] = influences{mine.test, mine.unit, task.Relative(row.values[of].Value, mine.of, base.values[of].Value, its.of)}
}

// rankingKey names the test set of a task that ranks.
func (d *dataset) rankingKey() string {
	return recipe.Recipe{Stage: "ranking test", Task: d.test}.Key()
}

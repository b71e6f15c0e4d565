package report

import (
	"fmt"
	"slices"
	"strings"

	"slimlab/lab"
)

// chosenLines say what the searches of a run have chosen, a line for each row: with the seeds that
// chose it where not all chose the same. A row that repeats another has none of its own.
func chosenLines(v *lab.View) []string {
	var lines []string
	seen := map[string]bool{}
	for i := range v.Rows {
		r := &v.Rows[i]
		key := r.Name + strings.Join(r.Keys, " ")
		if len(r.Chosen) == 0 || seen[key] {
			continue
		}
		seen[key] = true
		var settings []string
		seeds := map[string][]string{}
		for _, c := range r.Chosen {
			if !slices.Contains(settings, c.Settings) {
				settings = append(settings, c.Settings)
			}
			seeds[c.Settings] = append(seeds[c.Settings], fmt.Sprint(c.Seed))
		}
		for j, one := range settings {
			if len(settings) > 1 {
				settings[j] = fmt.Sprintf("%s (seed %s)", one, strings.Join(seeds[one], ", "))
			}
		}
		lines = append(lines, r.Label()+": "+strings.Join(settings, "; "))
	}
	return lines
}

package scenario

import (
	"slices"
	"strings"

	"slimlab/lab"
)

// String says in one line what the step does.
func (s Step) String() string { return s.Name + ": " + s.Work.Describe(s.From) }

// mostValues is how many values an Overview names before it leaves the rest out.
const mostValues = 4

// Overview says in one line for each step what it does at all points of the sweep. What differs
// between the points is the axis whose value it is ("${loss}"), or else its values ("20%|40%").
func (s *Scenario) Overview() []string {
	lines := make([]string, len(s.Points[0].Steps))
	for i := range lines {
		texts := make([]string, len(s.Points))
		for p := range s.Points {
			texts[p] = s.Points[p].Steps[i].String()
		}
		lines[i] = s.overview(texts)
	}
	return lines
}

// overview joins what is said of a step at each point.
func (s *Scenario) overview(texts []string) string {
	if !slices.ContainsFunc(texts, func(t string) bool { return t != texts[0] }) {
		return texts[0]
	}
	words := make([][]string, len(texts))
	for p, text := range texts {
		if words[p] = strings.Split(text, " "); len(words[p]) != len(words[0]) {
			return texts[0] + " (at the first point; it differs with " + strings.Join(s.differsWith(texts), ", ") + ")"
		}
	}
	joined := make([]string, len(words[0]))
	for w := range joined {
		column := make([]string, len(texts))
		for p := range texts {
			column[p] = words[p][w]
		}
		joined[w] = s.joinWords(column)
	}
	return strings.Join(joined, " ")
}

// joinWords joins the words that stand in one place at each point.
func (s *Scenario) joinWords(words []string) string {
	end := words[0][len(strings.TrimRight(words[0], ",;:")):]
	values := make([]string, len(words))
	for p, word := range words {
		values[p] = strings.TrimSuffix(word, end)
	}
	var distinct []string
	for _, v := range values {
		if !slices.Contains(distinct, v) {
			distinct = append(distinct, v)
		}
	}
	if len(distinct) == 1 {
		return words[0]
	}
	for _, a := range s.Axes {
		at := func(p int) string { return valueOf(s.Points[p].Params, a.Key) }
		same := true
		for p, v := range values {
			same = same && v == at(p)
		}
		if same {
			return "${" + a.Key + "}" + end
		}
	}
	if len(distinct) > mostValues {
		distinct = append(distinct[:mostValues-1], "…")
	}
	return strings.Join(distinct, "|") + end
}

func valueOf(params []lab.Param, key string) string {
	for _, p := range params {
		if p.Key == key {
			return p.Value
		}
	}
	return ""
}

// differsWith are the axes that change a text where all others stay.
func (s *Scenario) differsWith(texts []string) []string {
	var axes []string
	for _, a := range s.Axes {
		first := map[string]string{} // by the values of the other axes
		for p, text := range texts {
			others := ""
			for _, param := range s.Points[p].Params {
				if param.Key != a.Key {
					others += param.Key + "=" + param.Value + " "
				}
			}
			if before, known := first[others]; known && before != text {
				axes = append(axes, a.Key)
				break
			}
			first[others] = text
		}
	}
	return axes
}

package scenario

import (
	"fmt"
	"slices"
	"strings"

	"slimlab/internal/nearest"
)

// merge applies overrides to base: mappings key by key, anything else as a whole. Overrides of the
// pipeline are a mapping from steps' names.
func merge(base, over *node) (*node, error) {
	if base == nil || over.shape != mapping {
		return over.clone(), nil
	}
	if base.shape == list {
		return mergeSteps(base, over)
	}
	if base.shape != mapping {
		return over.clone(), nil
	}
	out := base.clone()
	for i, key := range over.keys {
		value, err := merge(out.get(key), over.items[i])
		if err != nil {
			return nil, err
		}
		out.set(key, over.keyAt[i], value)
	}
	return out, nil
}

func mergeSteps(base, over *node) (*node, error) {
	out := base.clone()
	for i, name := range over.keys {
		step := stepNode(out, name)
		if step == nil {
			return nil, fmt.Errorf("%s: %s", over.keyAt[i], nearest.Unknown("unknown step", name, stepNames(out)))
		}
		merged, err := merge(step.items[0], over.items[i])
		if err != nil {
			return nil, err
		}
		step.items[0] = merged
	}
	return out, nil
}

// stepName is the name of a pipeline's entry: its key name, or else its kind.
func stepName(entry *node) string {
	if entry.shape != mapping || len(entry.items) != 1 {
		return ""
	}
	if name := entry.items[0].get("name"); name != nil && name.shape == scalar {
		return name.text
	}
	return entry.keys[0]
}

func stepNode(pipeline *node, name string) *node {
	for _, entry := range pipeline.items {
		if stepName(entry) == name {
			return entry
		}
	}
	return nil
}

func stepNames(pipeline *node) []string {
	var names []string
	if pipeline != nil {
		for _, entry := range pipeline.items {
			if name := stepName(entry); name != "" {
				names = append(names, name)
			}
		}
	}
	return names
}

// override applies one key=value. The key is a path from the top (task.members), from a step's name
// (distilled.steps), or the bare name of a param or of an axis of the sweep. The value is YAML;
// null takes the key out.
func override(root *node, setting string) error {
	key, text, ok := strings.Cut(setting, "=")
	at := place{file: "--set " + setting}
	if !ok || key == "" {
		return fmt.Errorf("%s: expected key=value", at)
	}
	value := overrideValue(at, text)
	path := strings.Split(key, ".")
	if slices.Contains(path, "") {
		return fmt.Errorf("%s: an empty name in the key %q", at, key)
	}
	path, err := fullPath(root, path)
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	if strings.TrimSpace(text) == "null" {
		return takeOut(root, path, at)
	}
	if path[0] == "sweep" && len(path) == 2 && value.shape == scalar {
		value = &node{at: at, shape: list, items: []*node{value}}
	}
	return assign(root, path, at, value)
}

func overrideValue(at place, text string) *node {
	if strings.TrimSpace(text) == "" {
		return &node{at: at, shape: scalar, quoted: true}
	}
	value, err := parse(at.file, []byte(text))
	if err != nil || value.shape == null { // such as a path that is no YAML
		value = &node{shape: scalar, text: text}
	}
	relocate(value, at)
	return value
}

func relocate(n *node, at place) {
	n.at = at
	for i := range n.keyAt {
		n.keyAt[i] = at
	}
	for _, item := range n.items {
		relocate(item, at)
	}
}

// fullPath completes the short forms of an override's key.
func fullPath(root *node, path []string) ([]string, error) {
	top := sectionNames()
	switch first := path[0]; {
	case slices.Contains(top, first):
		return path, nil
	case len(path) == 1 && root.get("params").get(first) != nil:
		return []string{"params", first}, nil
	case len(path) == 1 && root.get("sweep").get(first) != nil:
		return []string{"sweep", first}, nil
	}
	for n := len(path); n > 0; n-- { // a step's name can have dots: "6.4B.steps"
		if name := strings.Join(path[:n], "."); slices.Contains(stepNames(root.get("pipeline")), name) {
			return append([]string{"pipeline", name}, path[n:]...), nil
		}
	}
	names := slices.Concat(top, root.get("params").names(), root.get("sweep").names(), stepNames(root.get("pipeline")))
	return nil, nearest.Unknown("unknown key", path[0], names)
}

func (n *node) names() []string {
	if n == nil {
		return nil
	}
	return n.keys
}

// takeOut removes the key at a path.
func takeOut(root *node, path []string, at place) error {
	n, last := root, len(path)-1
	for _, key := range path[:last] {
		next := n.get(key)
		if n.shape == list {
			next = nil
			if step := stepNode(n, key); step != nil {
				next = step.items[0]
			}
		}
		if next == nil {
			return fmt.Errorf("%s: there is no %s to take out", at, strings.Join(path, "."))
		}
		n = next
	}
	if n.shape == list {
		return fmt.Errorf("%s: expected step.field, such as %s.steps", at, path[last])
	}
	i := slices.Index(n.keys, path[last])
	if i < 0 {
		return fmt.Errorf("%s: %s", at, nearest.Unknown("no key to take out is called", path[last], n.keys))
	}
	n.keys, n.keyAt, n.items = slices.Delete(n.keys, i, i+1), slices.Delete(n.keyAt, i, i+1), slices.Delete(n.items, i, i+1)
	return nil
}

// assign sets a value at a path, creating mappings on the way.
func assign(root *node, path []string, at place, value *node) error {
	n := root
	for i, key := range path[:len(path)-1] {
		if n.shape == list {
			step := stepNode(n, key)
			if step == nil {
				return fmt.Errorf("%s: %s", at, nearest.Unknown("unknown step", key, stepNames(n)))
			}
			n = step.items[0]
		} else {
			next := n.get(key)
			if next == nil {
				next = &node{at: at, shape: mapping}
				n.set(key, at, next)
			}
			n = next
		}
		if n.shape == null {
			n.shape = mapping
		}
		if n.shape != mapping && (n.shape != list || path[i] != "pipeline") {
			return fmt.Errorf("%s: %s is %s, expected a mapping with the key %q", at, strings.Join(path[:i+1], "."), n.describe(), path[i+1])
		}
	}
	if n.shape == list {
		return fmt.Errorf("%s: expected step.field, such as %s.steps", at, path[len(path)-1])
	}
	n.set(path[len(path)-1], at, value)
	return nil
}

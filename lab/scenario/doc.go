// Package scenario turns a scenario file into a plan: the cells to work on, their steps, what is
// measured, and what is expected of the figures.
//
// Files are YAML and read strictly: an unknown key, a wrong type, a value out of its range, an
// undefined name, keys that contradict each other, a sweep that changes nothing and an expectation
// on what no run measures are errors of Load. Each is one line with the file, line and column, what
// was found, what was expected and the nearest valid name. A loaded scenario has all its names
// resolved.
//
// Loading goes from text to a tree of nodes with their places, applies the overrides of --quick and
// then --set, and for each point of the sweep replaces ${…}, decodes the sections into structs and
// resolves references between steps. The tags of those structs are the schema: the decoder, range
// checks, JSON Schema and reference all read them.
//
// The package knows the metrics of a lab, but neither kinds of steps nor losses, methods or
// schemes: the caller passes them as a Vocabulary. It leaves out execution, files other than the
// scenario, and YAML's anchors and tags.
package scenario

// Package scenario turns a scenario file into a plan: which cells to work on, the steps of each,
// what is measured and what is expected of it.
//
// A file is YAML, read strictly: an unknown key, a wrong type, a value out of its range, a name
// that nothing bears, a sweep that changes nothing are all errors of Load, each one line with file,
// line and column, what was found, what was expected and the nearest valid name. What has been
// loaded can be worked on without another look at names.
//
// The way of a file: text → tree of nodes with their places → the overlay of --quick → --set → for
// each point of the sweep: ${…} replaced, sections decoded into structs, references between steps
// resolved. The structs in sections.go, with their tags, are the schema: decoder, range checks,
// JSON Schema and documentation all read them.
//
// The package knows the names of a lab's metrics, but not which losses, methods or schemes exist:
// the caller hands them in as a Vocabulary. It leaves out execution, files other than the scenario
// itself, and YAML's anchors and tags.
package scenario

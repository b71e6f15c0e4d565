// Package jinja renders templates in the part of the Jinja language that models' chat templates
// use.
//
// The semantics are those of Jinja, with trim_blocks and lstrip_blocks, and of Python's values:
// for (with if, else, break and continue), if, set (names, tuples, namespaces and blocks), macro,
// raw and generation; expressions with filters, tests, slices, calls with keywords, and methods of
// strings, lists and dicts. Parse refuses inheritance, inclusion and import by name: a template is
// one text. Values are immutable, except for the attributes of a namespace.
//
// A template is downloaded with a checkpoint, so it is not trusted. It reads nothing but its input,
// and its work is bounded: the length of its text by MaxSource, nesting by maxDepth, nested calls
// of macros by maxCalls, and all computation by a budget of MaxWork. Every evaluated node costs
// some of the budget, and so does every byte and item that is read or written. Go's other
// implementations of Jinja have no such bounds: a macro that calls itself ends the process there.
package jinja

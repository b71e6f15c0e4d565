// Package chat writes a conversation as the text that a model was trained on, by the model's own
// Jinja template.
//
// The language is what templates of models use of Jinja, with the semantics of Jinja and of
// Python's values: text with trim_blocks and lstrip_blocks; for (with if, else, break, continue),
// if, set (names, tuples, namespaces, blocks), macro, raw and generation; expressions with filters,
// tests, slices, calls with keywords, and methods of strings, lists and dicts. What inherits,
// includes or imports is refused by name: a template is one text. Values cannot be changed, save
// the attributes of a namespace.
//
// A template comes with a checkpoint, so it is not trusted. It reaches nothing but its input, and
// its work is bounded: its text by MaxSource, how deep it nests by maxDepth, how deep macros call
// each other by maxCalls, and all that it computes by a budget of MaxWork, from which every node
// that is evaluated and every byte and item that is made or looked through is taken. The libraries
// for Go have no such bounds, and a macro that calls itself ends the whole process there, which is
// why this one is here.
package chat

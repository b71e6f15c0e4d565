// Package server answers HTTP requests in the shapes of OpenAI's interface with an engine, a
// tokenizer and a chat template.
//
// A request passes, from the outside in: exchange (its id, its log line, its errors), access (keys,
// origins), request (the body, checked against limits and a table of keys), prompt (text to
// tokens), answer (tokens to text, as they come), and one file for each endpoint. An answer is made
// by the same code whether it is streamed or not, so that the pieces of a stream, joined, are the
// text of the whole.
//
// The package promises that what it cannot do is an error that names the field, never a field that
// is passed over: a key of the interface that changes an answer is read or refused. A key that it
// does not know is ignored, as OpenAI does, and listed in the header X-Ignored-Fields. Texts are
// valid UTF-8, stop strings are never seen in part, and a client that has gone frees what its
// request holds within a step of the engine. No name of a request becomes the path of a file. It
// leaves out where models come from, and flags.
package server

// Package endpoint loads a MODEL and puts it behind an address, or into a conversation.
//
// It joins what others build: the model as lab/eval loads it, an engine of serve/host with a KV
// cache of so many bytes, and the server of serve/server. A Client watches and drives the engine of
// such a server, in this process or another. The package promises that what was rounded, and what
// memory is taken, is said before the first request. It leaves out flags and signals.
package endpoint

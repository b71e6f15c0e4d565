// Package tui is the workbench: a terminal program in which scenarios are run and their results
// watched, taken apart, compared and replayed. Its screens are views of a lab.Board.
//
// There is one Elm model; screens and overlays are plain structs that it holds. Update does no I/O:
// what takes time (reading lists and logs, starting a run, exporting) goes to the Bench in
// commands. The screen pulls: while a run is live or replayed, and only then, a tick looks at
// Board.Version 30 times a second and draws anew when it has changed. The key tables in keys.go are
// what dispatches, what the footer and the help show, and what the palette lists.
//
// Promises: each frame has exactly the terminal's height, no line is wider than it, whatever a
// scenario or a log contains; state is told by glyph and word before colour; without colour and in
// ASCII everything can still be told apart. The package leaves out all that can be had without a
// terminal: running, storing, judging and formatting belong to the lab.
package tui

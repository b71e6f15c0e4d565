// Package tui is the workbench: a terminal program in which scenarios are run and their results
// watched, inspected, compared and replayed, and a serving engine is looked at. Its screens are
// views of a lab.Board, and of an Engine.
//
// The model holds a list of Screens and a stack of panes above the current one: pagers, pickers,
// prompts, a filter that is typed. A pane has a title, key tables and a view. The key tables
// dispatch the keys, and the footer, the help and the palette are made of them. The screens share
// the workbench; no screen depends on another. Update does no I/O: what takes time (reading lists
// and logs, starting a run, exporting) goes to the Bench in commands. While a run is live or
// replayed, and only then, a tick looks at Board.Version 30 times a second (4 where another process
// writes) and draws anew when it has changed. A serving engine is asked what it does 4 times a
// second, while the Serve screen is seen. What is drawn says where it takes the mouse, so that no
// screen computes twice where something is.
//
// Promises: each frame has exactly the height of the terminal, no line is wider than it, whatever a
// scenario or a log contains. A state is shown by glyph and word as well as by colour; all states
// can be distinguished without colour and in ASCII. The package leaves out what can be had without
// a terminal: running, storing, judging and formatting belong to the lab.
//
// Files, from the bottom: theme, mouse, input, session and screen know nothing of the workbench;
// workbench is what all screens share; page, picker, prompt, pager and export are the panes above a
// screen; bench_*, run_*, compare_* and serve_* are the screens; model, frame, update and tui are
// the program.
package tui

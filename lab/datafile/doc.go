// Package datafile opens the files of text and records that users bring: training data, calibration
// texts, texts to measure, questions.
//
// What a file is follows from its content, not from its name. Open looks at the first bytes: gzip
// is read, UTF-16 and UTF-32 are decoded by their byte order marks, and what is neither text nor
// records (other compressions, Parquet, weights, pictures, tables of CSV, pages of HTML …) is
// refused by the name of its form, with what to do. The text that follows is checked: a byte that
// is not UTF-8 and a NUL are errors that name their place. File.Text reads a text; File.Records
// reads the values of JSON lines, of a sequence of JSON texts, of a JSON array, or of a list within
// one JSON object: where there are several lists, that for the purpose, or none. What is alike to
// JSON, such as objects of Python or JavaScript, is refused by name there. Reading
// ends when the context does, also while a pipe says nothing.
//
// What was decoded or chosen is in Notes, also where the ending of the name promises another form
// than the content has. The package leaves out what records mean: that is package task's.
package datafile

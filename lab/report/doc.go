// Package report turns what a Board shows into text for people and machines: a table for terminals,
// Markdown, CSV, JSON, JUnit, and the comparison of two runs. One file a format.
//
// Tables scale their units, a whole column to the same; CSV and JSON carry base units as they are.
// Warnings are footnotes under every table. The package opens no files and uses no colours.
package report

// Package sweep arranges the rows of a run as what they are: points of a sweep. A Table has the
// sweep's axes as columns, each row stands once for all points that it does not depend on, and
// whatever shows or exports rows reads it. Its charts are the Front of two metrics, the Pivot of a
// metric over two axes, and the lines of a metric Along an axis of numbers.
//
// It promises that it is pure: a Table is computed from a lab.View, changes nothing in it, and is
// the same for equal views. It leaves out the words and widths of tables (lab/report) and screens.
package sweep

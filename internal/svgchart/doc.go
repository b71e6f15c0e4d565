// Package svgchart draws charts as SVG: lines and points over two axes, and stacked bars.
//
// The package promises that the same chart gives the same bytes, that what it writes is well-formed
// XML whatever the texts are, and that lines and parts of bars can be told apart without colour, by
// dashes, marks and hatching. Sizes are in points, of 1/72 inch. Axes are linear.
package svgchart

package chart_test

import (
	"fmt"
	"math"
	"strings"

	"slimlab/tui/chart"
)

// A training loss with a logarithmic axis.
func Example() {
	var loss chart.Line
	for step := range 60 {
		loss.Points = append(loss.Points, chart.Point{X: float64(step), Y: 0.5 + 2*math.Exp(-float64(step)/12)})
	}
	c := chart.Chart{
		X: chart.Axis{Title: "step"}, Y: chart.Axis{Log: true},
		Lines: []chart.Line{loss}, Cursor: math.NaN(),
	}
	fmt.Println("loss")
	for _, line := range c.Render(50, 8) {
		fmt.Println(strings.TrimRight(line, " "))
	}
	// Output:
	// loss
	//  │⠑⠢⣀
	// 2┤   ⠑⠢⢄
	//  │      ⠉⠢⢄⡀
	// 1┤         ⠈⠒⠤⢄⡀
	//  │             ⠈⠒⠒⠤⢄
	//  │                  ⠉⠉⠒⠒⠤⠤⣀⣀⡀
	//  │                          ⠈⠉⠉⠑⠒⠒⠒⠢⠤⠤⠤⠤⠤⠤⠤⣀⣀⣀⣀⣀⣀⣀
	//  └0──────────────20──────────────40────────── step
}

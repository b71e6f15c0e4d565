// Package colours is the workbench's palettes: tables of a colour for each role.
//
// Every colour is named twice: by its number in the colour cube of terminals with 256 colours and
// more, whose red, green and blue are the same everywhere, and by one of the 16 colours of older
// terminals, which each user may redefine. The package promises, and its tests compute, that text
// in a cube colour has a contrast of at least 4.5 (WCAG 2.2, 1.4.3) against the backgrounds that
// its palette is for, that text on a Fill has it against the fill, that the steps of a heat scale
// become lighter one by one, and that the lines and the states of the palettes for colour-blind
// eyes can be distinguished with protanopia, deuteranopia and tritanopia as Machado et al. (2009)
// simulate them. For the 16 colours it promises the contrast against black or white with xterm's
// values alone. It leaves out styles and escape sequences.
package colours

import (
	"slices"
	"strconv"
	"strings"
)

// Colour is a colour as terminals number it.
type Colour struct {
	Cube  uint8 // 16…255, of 256 colours
	Basic uint8 // of 16 colours
}

// Fill is a background with the colour of the text on it.
type Fill struct{ Text, Back Colour }

// Palette is the colour of each role.
type Palette struct {
	Name                           string
	Light                          bool // for light backgrounds
	Running, Done, Failed, Warning Colour
	Dim                            Colour
	Lines                          [6]Colour
	Selected                       Fill
	Heat                           []Fill // from the lowest value to the highest
}

// All returns the palettes, dark first.
func All() []Palette { return []Palette{dark(), light(), colourBlind(), colourBlindLight()} }

// Named returns the palette of a name; false when there is none.
func Named(name string) (Palette, bool) {
	all := All()
	i := slices.IndexFunc(all, func(p Palette) bool { return p.Name == name })
	if i < 0 {
		return Palette{}, false
	}
	return all[i], true
}

// Default is the palette where none was chosen: light where the value of COLORFGBG, which rxvt,
// Konsole and others set to "text;background", says that the background is one of the light ones of
// 16 colours, else dark.
func Default(colorFGBG string) Palette {
	fields := strings.Split(colorFGBG, ";")
	background, err := strconv.Atoi(fields[len(fields)-1])
	if err == nil && len(fields) > 1 && (background == 7 || background > 8 && background < 16) {
		return light()
	}
	return dark()
}

// Step is the step of a heat scale that shows a value of 0…1. Values outside are the nearest of
// them; NaN is the lowest.
func (p *Palette) Step(value float64) int {
	if !(value > 0) {
		return 0
	}
	return min(int(min(value, 1)*float64(len(p.Heat))), len(p.Heat)-1)
}

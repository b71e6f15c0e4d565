package colours

import (
	"fmt"
	"math"
	"testing"
)

// colour is red, green and blue, 0…255.
type colour [3]float64

func hex(s string) (c colour) {
	var r, g, b int
	fmt.Sscanf(s, "#%02x%02x%02x", &r, &g, &b)
	return colour{float64(r), float64(g), float64(b)}
}

// The backgrounds that the palettes are for: black to the grey of editors, Solarized and Dracula;
// white to Solarized's cream.
var (
	darkBackgrounds  = []colour{hex("#000000"), hex("#1e1e1e"), hex("#002b36"), hex("#282a36")}
	lightBackgrounds = []colour{hex("#ffffff"), hex("#fafafa"), hex("#eee8d5")}
)

// cube is a colour of xterm's 256: a cube of six levels, then greys.
func cube(i uint8) colour {
	if i >= 232 {
		grey := 8 + 10*float64(i-232)
		return colour{grey, grey, grey}
	}
	level := [6]float64{0, 95, 135, 175, 215, 255}
	i -= 16
	return colour{level[i/36], level[i/6%6], level[i%6]}
}

// xterm is what xterm shows for the 16 colours where nobody redefines them.
var xterm = [16]colour{
	hex("#000000"), hex("#cd0000"), hex("#00cd00"), hex("#cdcd00"), hex("#0000ee"), hex("#cd00cd"), hex("#00cdcd"), hex("#e5e5e5"),
	hex("#7f7f7f"), hex("#ff0000"), hex("#00ff00"), hex("#ffff00"), hex("#5c5cff"), hex("#ff00ff"), hex("#00ffff"), hex("#ffffff"),
}

// linear is sRGB without its gamma (IEC 61966-2-1).
func (c colour) linear() (out colour) {
	for i, x := range c {
		if x /= 255; x <= 0.04045 {
			out[i] = x / 12.92
		} else {
			out[i] = math.Pow((x+0.055)/1.055, 2.4)
		}
	}
	return out
}

// contrast is the contrast ratio of WCAG 2.2.
func contrast(a, b colour) float64 {
	luminance := func(c colour) float64 {
		l := c.linear()
		return 0.2126*l[0] + 0.7152*l[1] + 0.0722*l[2]
	}
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// Matrices on linear RGB for a severity of 1, from Machado, Oliveira and Fernandes, "A
// Physiologically-based Model for Simulation of Color Vision Deficiency" (2009), table 1.
var sights = map[string][3]colour{
	"unimpaired":   {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
	"protanopia":   {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}},
	"deuteranopia": {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},
	"tritanopia":   {{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}},
}

// lab is CIE L*a*b* (white D65) of a colour as an eye sees it.
func lab(c colour, sight string) colour {
	in, seen := c.linear(), colour{}
	for i, row := range sights[sight] {
		seen[i] = min(1, max(0, row[0]*in[0]+row[1]*in[1]+row[2]*in[2]))
	}
	f := func(t float64) float64 {
		if t > 216.0/24389 {
			return math.Cbrt(t)
		}
		return (24389.0/27*t + 16) / 116
	}
	x := f((0.4124564*seen[0] + 0.3575761*seen[1] + 0.1804375*seen[2]) / 0.95047)
	y := f(0.2126729*seen[0] + 0.7151522*seen[1] + 0.0721750*seen[2])
	z := f((0.0193339*seen[0] + 0.1191920*seen[1] + 0.9503041*seen[2]) / 1.08883)
	return colour{116*y - 16, 500 * (x - y), 200 * (y - z)}
}

// difference is CIE 1976's ΔE.
func difference(a, b colour, sight string) float64 {
	x, y := lab(a, sight), lab(b, sight)
	return math.Sqrt((x[0]-y[0])*(x[0]-y[0]) + (x[1]-y[1])*(x[1]-y[1]) + (x[2]-y[2])*(x[2]-y[2]))
}

func states(p *Palette) map[string]Colour {
	return map[string]Colour{"running": p.Running, "done": p.Done, "failed": p.Failed, "warning": p.Warning}
}

// texts are the roles that are text on the terminal's own background.
func texts(p *Palette) map[string]Colour {
	all := states(p)
	all["dim"] = p.Dim
	for i, c := range p.Lines {
		all[fmt.Sprintf("line %d", i+1)] = c
	}
	return all
}

func TestTextCanBeReadOnItsBackgrounds(t *testing.T) {
	for _, p := range All() {
		backgrounds, basic := darkBackgrounds, hex("#000000")
		if p.Light {
			backgrounds, basic = lightBackgrounds, hex("#ffffff")
		}
		for role, c := range texts(&p) {
			for _, b := range backgrounds {
				if got := contrast(cube(c.Cube), b); got < 4.5 {
					t.Errorf("%s: %s, colour %d, has contrast %.2f on %v", p.Name, role, c.Cube, got, b)
				}
			}
			if got := contrast(xterm[c.Basic], basic); got < 4.5 {
				t.Errorf("%s: %s, colour %d of 16, has contrast %.2f", p.Name, role, c.Basic, got)
			}
		}
	}
}

func TestTextCanBeReadOnFills(t *testing.T) {
	for _, p := range All() {
		for i, f := range append([]Fill{p.Selected}, p.Heat...) {
			if got := contrast(cube(f.Text.Cube), cube(f.Back.Cube)); got < 4.5 {
				t.Errorf("%s: fill %d has contrast %.2f", p.Name, i, got)
			}
			if got := contrast(xterm[f.Text.Basic], xterm[f.Back.Basic]); got < 4.5 {
				t.Errorf("%s: fill %d has contrast %.2f with 16 colours", p.Name, i, got)
			}
		}
	}
}

// The order of a heat scale is seen by every eye, and without hues.
func TestHeatScalesBecomeLighterStepByStep(t *testing.T) {
	for _, p := range All() {
		if len(p.Heat) < 7 {
			t.Errorf("%s: %d steps", p.Name, len(p.Heat))
		}
		for i := 1; i < len(p.Heat); i++ {
			from, to := p.Heat[i-1].Back, p.Heat[i].Back
			for sight := range sights {
				if rise := lab(cube(to.Cube), sight)[0] - lab(cube(from.Cube), sight)[0]; rise < 8 {
					t.Errorf("%s: with %s, step %d is %.1f lighter than the one before it, expected 8", p.Name, sight, i, rise)
				}
			}
			if lab(xterm[to.Basic], "unimpaired")[0] <= lab(xterm[from.Basic], "unimpaired")[0] {
				t.Errorf("%s: step %d of 16 colours is not lighter than the one before it", p.Name, i)
			}
		}
	}
}

// A ΔE of 2.3 is just noticed side by side; thin lines need ten times that.
func TestLinesAndStatesDiffer(t *testing.T) {
	const floor = 25
	for _, p := range All() {
		for _, sight := range []string{"unimpaired", "protanopia", "deuteranopia", "tritanopia"} {
			if sight != "unimpaired" && p.Name != "colour-blind" && p.Name != "colour-blind-light" {
				continue
			}
			for i, a := range p.Lines {
				for j, b := range p.Lines[:i] {
					if d := difference(cube(a.Cube), cube(b.Cube), sight); d < floor {
						t.Errorf("%s: with %s, lines %d and %d differ by %.1f", p.Name, sight, j+1, i+1, d)
					}
				}
			}
			all := states(&p)
			for a := range all {
				for b := range all {
					if d := difference(cube(all[a].Cube), cube(all[b].Cube), sight); a < b && d < floor {
						t.Errorf("%s: with %s, %s and %s differ by %.1f", p.Name, sight, a, b, d)
					}
				}
			}
		}
	}
}

func TestDefaultFollowsCOLORFGBG(t *testing.T) {
	for value, want := range map[string]string{
		"": "dark", "15;0": "dark", "0;15": "light", "0;default;7": "light", "7;8": "dark", "12;8;15": "light", "15": "dark", "0;x": "dark", "0;16": "dark", "0;-1": "dark",
	} {
		if got := Default(value).Name; got != want {
			t.Errorf("COLORFGBG=%q: %s, expected %s", value, got, want)
		}
	}
}

func TestStepsCoverTheScale(t *testing.T) {
	p := dark()
	for _, one := range []struct {
		value float64
		want  int
	}{{0, 0}, {1, 6}, {0.5, 3}, {-3, 0}, {7, 6}, {math.NaN(), 0}, {math.Inf(1), 6}, {math.Inf(-1), 0}} {
		if got := p.Step(one.value); got != one.want {
			t.Errorf("step of %g is %d, expected %d", one.value, got, one.want)
		}
	}
}

func TestPalettesAreFoundByName(t *testing.T) {
	for _, p := range All() {
		if got, ok := Named(p.Name); !ok || got.Name != p.Name {
			t.Errorf("%s is not found", p.Name)
		}
	}
	if _, ok := Named("drak"); ok {
		t.Error("an unknown name is a palette")
	}
}

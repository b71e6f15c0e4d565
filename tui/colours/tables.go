package colours

var (
	black = Colour{16, 0}
	white = Colour{231, 15}
)

func dark() Palette {
	return Palette{
		Name:    "dark",
		Running: Colour{39, 14}, Done: Colour{41, 10}, Failed: Colour{203, 9}, Warning: Colour{178, 11},
		Dim:      Colour{247, 7},
		Lines:    [6]Colour{{39, 14}, {208, 11}, {77, 10}, {176, 13}, {220, 15}, {141, 9}},
		Selected: Fill{white, Colour{24, 4}},
		Heat:     viridis(),
	}
}

func light() Palette {
	return Palette{
		Name: "light", Light: true,
		// No green of the 16 colours can be read on white.
		Running: Colour{25, 4}, Done: Colour{22, 0}, Failed: Colour{124, 1}, Warning: Colour{94, 5},
		Dim:      Colour{241, 0},
		Lines:    [6]Colour{{25, 4}, {124, 1}, {22, 0}, {127, 5}, {94, 12}, {54, 0}},
		Selected: Fill{Colour{16, 15}, Colour{153, 4}},
		Heat:     viridis(),
	}
}

// colourBlind has those colours of the cube whose least difference is the largest that a search of
// the cube has found, over unimpaired sight and the three simulations; its blue, green, orange and
// yellow of states are the hues of Okabe and Ito (2008).
func colourBlind() Palette {
	return Palette{
		Name:    "colour-blind",
		Running: Colour{111, 14}, Done: Colour{48, 10}, Failed: Colour{202, 9}, Warning: Colour{226, 11},
		Dim:      Colour{247, 7},
		Lines:    [6]Colour{{219, 13}, {202, 9}, {158, 14}, {173, 11}, {201, 10}, {228, 15}},
		Selected: Fill{white, Colour{24, 4}},
		Heat:     cividis(),
	}
}

// colourBlindLight is found as colourBlind is. Few colours are dark enough to be text on cream.
func colourBlindLight() Palette {
	return Palette{
		Name: "colour-blind-light", Light: true,
		Running: Colour{24, 4}, Done: Colour{17, 0}, Failed: Colour{128, 1}, Warning: Colour{94, 5},
		Dim:      Colour{241, 0},
		Lines:    [6]Colour{{25, 4}, {94, 1}, {53, 0}, {93, 5}, {52, 12}, {18, 0}},
		Selected: Fill{Colour{16, 15}, Colour{153, 4}},
		Heat:     cividis(),
	}
}

// viridis is seven steps of the cube along the scale of van der Walt and Smith (2015): violet,
// blue, green, yellow.
func viridis() []Fill {
	return []Fill{
		{white, Colour{17, 0}}, {white, Colour{54, 4}}, {white, Colour{24, 5}}, {black, Colour{30, 6}},
		{black, Colour{36, 3}}, {black, Colour{77, 11}}, {black, Colour{227, 15}},
	}
}

// cividis is seven steps of the cube along the scale of Nuñez, Anderton and Renslow (2018), from
// blue over grey to yellow, which eyes without red or green see as others do.
func cividis() []Fill {
	return []Fill{
		{white, Colour{17, 0}}, {white, Colour{19, 4}}, {white, Colour{60, 5}}, {black, Colour{102, 6}},
		{black, Colour{144, 3}}, {black, Colour{185, 11}}, {black, Colour{229, 15}},
	}
}

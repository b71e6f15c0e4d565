package checkpoint

// Verdict is temporary.
type Verdict struct {
	Engine string
	Loads  bool
	Reason string
}

func (c *Checkpoint) LoadsIn() []Verdict { return nil }

func (v Verdict) String() string { return v.Reason }

package scenario

// String says in one line what the step does.
func (s Step) String() string { return s.Name + ": " + s.Work.Describe(s.From) }

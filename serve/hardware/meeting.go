package hardware

// meetingPoints is how finely a meeting is tabled: within 0.1% of the formula.
const meetingPoints = 512

// meeting is softMax of one power as a table, because a step cannot wait for its powers.
type meeting [meetingPoints + 2]float64

func newMeeting(p float64) *meeting {
	var m meeting
	for i := range m {
		m[i] = softMax(1, float64(i)/meetingPoints, p)
	}
	return &m
}

// of is softMax of two times, of which one is above 0.
func (m *meeting) of(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	x := b / a * meetingPoints
	i := int(x)
	return a * (m[i] + (m[i+1]-m[i])*(x-float64(i)))
}

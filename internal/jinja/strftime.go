package jinja

import (
	"strings"
	"time"
)

// layouts are Go's layouts of Python's directives.
var layouts = map[byte]string{
	'd': "02", 'b': "Jan", 'B': "January", 'm': "01", 'y': "06", 'Y': "2006",
	'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM",
	'a': "Mon", 'A': "Monday", 'j': "002", 'Z': "MST", 'z': "-0700",
	'F': "2006-01-02", 'T': "15:04:05",
}

// strftime is Python's, for the directives that templates use.
func (r *rendering) strftime(now time.Time, format string) string {
	var b strings.Builder
	r.spend(8 * len(format))
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		layout, ok := layouts[format[i]]
		switch {
		case format[i] == '%':
			b.WriteByte('%')
		case ok:
			b.WriteString(now.Format(layout))
		default:
			r.fail("strftime_now: directive %%%c is not supported", format[i])
		}
	}
	return b.String()
}

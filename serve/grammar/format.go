package grammar

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"slimlab/serve/grammar/pattern"
)

const (
	octet    = `(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])`
	ipv4     = octet + `(\.` + octet + `){3}`
	sixteen  = `[0-9A-Fa-f]{1,4}`
	lastTwo  = `(` + sixteen + `:` + sixteen + `|` + ipv4 + `)`
	label    = `[0-9A-Za-z]([0-9A-Za-z]|[-0-9A-Za-z]{1,2}[0-9A-Za-z]|[-0-9A-Za-z]([0-9A-Za-z][-0-9A-Za-z]|-[0-9A-Za-z])[-0-9A-Za-z]{0,58}[0-9A-Za-z])?`
	domain   = label + `(\.` + label + `)*`
	atom     = "[0-9A-Za-z!#$%&'*+/=?^_`{|}~-]+"
	mailbox  = `(` + atom + `(\.` + atom + `)*|"([ !#-\[\]-~]|\\[ -~])*")`
	month31  = `(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])`
	month30  = `(0[469]|11)-(0[1-9]|[12][0-9]|30)`
	leapYear = `([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)`
	date     = `([0-9]{4}-(` + month31 + `|` + month30 + `|02-(0[1-9]|1[0-9]|2[0-8]))|` + leapYear + `-02-29)`
	clock    = `([01][0-9]|2[0-3]):[0-5][0-9]`
	fraction = `(\.[0-9]+)?`
	percent  = `%[0-9A-Fa-f]{2}`
	pathChar = `([0-9A-Za-z._~!$&'()*+,;=:@-]|` + percent + `)`
	path     = `(/` + pathChar + `*)*`
	tail     = `(\?(` + pathChar + `|[/?])*)?(#(` + pathChar + `|[/?])*)?`
)

// formats are the values of format that strings can be held to, each as an expression for the whole
// string. Labels of hostnames that are encoded (xn--…) and others with -- in that place are not
// allowed: whether they decode to a name no automaton can say.
var formats = map[string]func() *pattern.Node{
	"date":      fixed(date),
	"time":      clockTime,
	"date-time": func() *pattern.Node { return concat(pattern.MustParse(date+"[Tt]"), clockTime()) },
	"duration":  fixed(`P([0-9]+W|(([0-9]+Y([0-9]+M([0-9]+D)?)?|[0-9]+M([0-9]+D)?|[0-9]+D)(T` + durationTime + `)?|T` + durationTime + `))`),
	"email":     func() *pattern.Node { return pattern.MustParse(mailbox + `@` + mailDomain()) },
	"hostname":  fixed(domain),
	"ipv4":      fixed(ipv4),
	"ipv6":      func() *pattern.Node { return pattern.MustParse(ipv6()) },
	"uuid":      fixed(`[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}`),
	"uri":       func() *pattern.Node { return pattern.MustParse(uri()) },
	"uri-reference": func() *pattern.Node {
		return pattern.MustParse(uri() + `|(` + authority() + path + `|/(` + pathChar + `+` + path + `)?|([0-9A-Za-z._~!$&'()*+,;=@-]|` + percent + `)+` + path + `)?` + tail)
	},
	"json-pointer": fixed(`(/([^/~]|~[01])*)*`),
}

const durationTime = `([0-9]+H([0-9]+M([0-9]+S)?)?|[0-9]+M([0-9]+S)?|[0-9]+S)`

func fixed(expression string) func() *pattern.Node {
	return func() *pattern.Node { return pattern.MustParse(expression) }
}

func formatNames() []string { return slices.Sorted(maps.Keys(formats)) }

func concat(parts ...*pattern.Node) *pattern.Node {
	return &pattern.Node{Op: pattern.Concat, Subs: parts}
}

// ipv6 is RFC 4291's notation: eight groups, the last two perhaps as an IPv4 address, and :: once
// for any number of them.
func ipv6() string {
	forms := []string{`(` + sixteen + `:){6}` + lastTwo, `::(` + sixteen + `:){5}` + lastTwo}
	for before := range 7 {
		head := fmt.Sprintf(`((%s:){0,%d}%s)?::`, sixteen, before, sixteen)
		switch behind := 4 - before; {
		case behind >= 0:
			forms = append(forms, fmt.Sprintf(`%s(%s:){%d}%s`, head, sixteen, behind, lastTwo))
		case behind == -1:
			forms = append(forms, head+sixteen)
		default:
			forms = append(forms, head)
		}
	}
	return `(` + strings.Join(forms, "|") + `)`
}

func mailDomain() string {
	return `(` + domain + `|\[` + ipv4 + `\]|\[IPv6:` + ipv6() + `\])`
}

func authority() string {
	user := `(([0-9A-Za-z._~!$&'()*+,;=:-]|` + percent + `)*@)?`
	host := `(\[(` + ipv6() + `|[Vv][0-9A-Fa-f]+\.[0-9A-Za-z._~!$&'()*+,;=:-]+)\]|([0-9A-Za-z._~!$&'()*+,;=-]|` + percent + `)*)`
	return `//` + user + host + `(:[0-9]*)?`
}

func uri() string {
	return `[A-Za-z][0-9A-Za-z+.-]*:(` + authority() + path + `|/(` + pathChar + `+` + path + `)?|` + pathChar + `+` + path + `)?` + tail
}

// clockTime is RFC 3339's: a leap second is the last of a day in UTC, so which minute it can stand
// in follows from the offset.
func clockTime() *pattern.Node {
	ordinary := pattern.MustParse(clock + `:[0-5][0-9]` + fraction + `([Zz]|[+-]` + clock + `)`)
	any := &pattern.Node{Op: pattern.Alternate, Subs: []*pattern.Node{ordinary}}
	const day = 24 * 60
	for local := range day {
		ahead := (local + 1) % day // minutes before UTC
		behind := (day - ahead) % day
		zone := fmt.Sprintf(`\+%02d:%02d|-%02d:%02d`, ahead/60, ahead%60, behind/60, behind%60)
		if ahead == 0 {
			zone += `|[Zz]`
		}
		leap := fmt.Sprintf(`%02d:%02d:60%s(%s)`, local/60, local%60, fraction, zone)
		any.Subs = append(any.Subs, pattern.MustParse(leap))
	}
	return any
}

// longest bounds formats whose expressions do not: RFC 1123 and RFC 5321 in characters.
var longest = map[string]int64{"hostname": 253, "email": 254}

// maxMailbox bounds the part of an email address before its last @.
const maxMailbox = 64

// format is the strings of a format.
func (b *builder) format(name string) (id, error) {
	if known, ok := b.formatTerms[name]; ok {
		return known, nil
	}
	t, err := b.json.whole(formats[name]())
	p := b.pool
	if name == "email" && err == nil {
		var before, behind id
		before, err = b.json.whole(pattern.MustParse(mailbox))
		if err == nil {
			behind, err = b.json.whole(pattern.MustParse(mailDomain()))
		}
		t = p.sequence(p.both(before, p.repeat(b.json.any, 0, maxMailbox)), p.text("@"), behind)
	}
	if most, ok := longest[name]; ok {
		t = p.both(t, p.repeat(b.json.any, 0, most))
	}
	b.formatTerms[name] = t
	return t, err
}

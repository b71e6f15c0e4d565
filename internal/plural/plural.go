// Package plural writes a number of things in words.
package plural

import (
	"strconv"
	"strings"
)

// Of writes a number of things: "1 seed", "3 seeds"; "1 axis", "2 axes".
func Of[N int | int64](n N, what string) string {
	text := strconv.FormatInt(int64(n), 10) + " "
	if n == 1 {
		return text + what
	}
	if stem, ok := strings.CutSuffix(what, "is"); ok {
		return text + stem + "es"
	}
	return text + what + "s"
}

// Verb is the verb of a number of things: "is" of one, else "are".
func Verb[N int | int64](n N) string { return Words(n, "is", "are") }

// Words is what stands beside a number of things: one of one, else many.
func Words[N int | int64](n N, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

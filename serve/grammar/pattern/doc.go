// Package pattern reads regular expressions over Unicode characters.
//
// The syntax is what RE2 and ECMAScript have in common:
//
//	x  .  [abc]  [^a-z]       characters; . is any but \n, \r, U+2028 and U+2029
//	\d \D \w \W \s \S         of digits and words ASCII's, of spaces ECMAScript's
//	\p{L} \pL \P{…}           general categories and scripts of Unicode, \p{Script=…}
//	\n \r \t \f \v \0 \xHH \x{H…} \uHHHH \u{H…} \cX \. and other signs
//	xy  x|y  (x)  (?:x)  (?<name>x)  (?P<name>x)
//	x* x+ x? x{n} x{n,} x{n,m}, each with ? behind it, which changes nothing
//	^ $                       the ends of the text
//
// An expression means a set of texts: groups capture nothing. What needs more than a finite machine
// (looks ahead and behind, references back) and \b are errors with their place. Flags are left out.
package pattern

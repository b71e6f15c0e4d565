// Package grammar compiles constraints on a text to sets of tokens that may come next.
//
// A constraint is a regular expression (Compile), a JSON Schema of draft 2020-12 (JSON), any JSON
// object (AnyJSON) or calls of functions whose arguments have schemas (Calls). A Grammar and a
// Vocabulary give a Matcher, which follows one text: Allowed is the mask of its next token, Accept
// goes on with one. It works on bytes, so a token may end anywhere, within a character or an escape
// too.
//
// Promises: a text that ended satisfies its constraint, and no token is allowed from which the text
// could not be ended. A keyword that cannot be enforced is an error of type *Unsupported, never
// ignored. Compilations end when their context does, and in bounded time and memory with an error
// of type *LimitError.
//
// # JSON
//
// Each value has one form, with few choices:
//
//   - Members stand in the order of the schema: those of properties as listed, then those that only
//     required lists, then all others in any order. Where schemas are merged, those of the schema
//     itself come first, then those of $ref, allOf, anyOf and oneOf.
//   - One space or none stands behind each comma and colon, none elsewhere; see Whitespace.
//   - Strings that nothing but a length constrains may have every escape of JSON. Others, and names
//     of members, are written with the characters themselves and the shortest escape of those that
//     need one.
//   - Numbers that minimum, maximum or multipleOf constrain have no exponent, others one of at most
//     three digits. Integers have no point.
//   - Listed values (const, enum) are written as in the schema.
//
// Names that a schema does not list may repeat in one object; validators then read the last one,
// which satisfies the schema as each does.
//
// # Keywords
//
//	any value    type enum const anyOf allOf $ref $defs $anchor $id true false
//	             oneOf, where it can be shown that no value satisfies two alternatives
//	objects      properties required additionalProperties patternProperties propertyNames
//	             dependentRequired dependentSchemas maxProperties; minProperties, unless two members or more
//	             would have names that the schema does not list
//	arrays       items prefixItems minItems maxItems
//	strings      minLength maxLength pattern (see package pattern) format: date date-time duration email hostname
//	             ipv4 ipv6 json-pointer time uri uri-reference uuid
//	numbers      minimum maximum exclusiveMinimum exclusiveMaximum multipleOf (up to 4096 units of its last digit)
//	annotations  title description default examples deprecated readOnly writeOnly $comment $schema content… x-…
//
// A schema that refers out of its document is refused: nothing is fetched.
//
// # How it works
//
// A grammar is a graph of terms, hash-consed: sequences, choices, counts, intersections and
// complements of sets of bytes, and rules, which may refer to themselves (pool.go). What may still
// come behind a text is a term too, the derivative of the grammar by the text (derive.go), so that
// a term is a state, with its stack where rules are nested. Counts are numbers in terms: a string
// of a million characters costs what one of ten does. For a mask the tokens are walked as a trie
// (mask.go); most tokens need no walk in a string, and states that a token cannot tell apart share
// a mask.
package grammar

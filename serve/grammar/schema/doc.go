// Package schema reads JSON Schemas as documents: JSON values whose objects keep their order, the
// places of schemas in them, and what $ref means there ($id, $anchor, JSON pointers).
//
// What the keywords of a schema demand is for others to say. Nothing is ever fetched: a reference
// out of the document is an error.
package schema

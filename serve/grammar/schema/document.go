package schema

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Place is a schema in a document.
type Place struct {
	Value  *Value
	Path   string // its JSON pointer from the root, "" for the root
	Number int    // counts the places of a document

	base *url.URL // that its references start from
}

// Document is a schema with all schemas in it.
type Document struct {
	Root *Place

	places    map[string]*Place // by path
	resources map[string]string // paths by absolute URI without fragment
	anchors   map[string]string // paths by absolute URI with #anchor
	made      int
}

// schemaIn are the keywords whose value is a schema, schemasIn those that hold lists or objects of
// them.
var (
	schemaIn = []string{
		"additionalProperties", "items", "not", "if", "then", "else", "contains", "propertyNames", "unevaluatedItems", "unevaluatedProperties", "contentSchema",
	}
	schemasIn = []string{"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "anyOf", "oneOf", "allOf", "prefixItems"}
)

// Read finds the schemas of a document.
func Read(data []byte) (*Document, error) {
	v, err := Parse(data)
	if err != nil {
		return nil, err
	}
	d := &Document{places: map[string]*Place{}, resources: map[string]string{}, anchors: map[string]string{}}
	base := &url.URL{Scheme: "schema", Host: "document", Path: "/"}
	d.resources[base.String()] = ""
	d.Root, err = d.visit(v, base, "")
	return d, err
}

// Constant is a place of its own, outside the document: the schema true or false.
func (d *Document) Constant(allow bool) *Place {
	d.made++
	return &Place{Value: &Value{Kind: Bool, Bool: allow}, Number: d.made}
}

func (d *Document) visit(v *Value, base *url.URL, path string) (*Place, error) {
	if v.Kind == Object {
		if name := v.Members["$id"]; name != nil && name.Kind == String {
			u, err := base.Parse(name.Text)
			if err != nil {
				return nil, fmt.Errorf("%s/$id: found %q, expected a URI", path, name.Text)
			}
			u.Fragment = ""
			base = u
			d.resources[base.String()] = path
		}
		for _, key := range []string{"$anchor", "$dynamicAnchor"} {
			if name := v.Members[key]; name != nil && name.Kind == String {
				d.anchors[base.String()+"#"+name.Text] = path
			}
		}
	}
	d.made++
	place := &Place{v, path, d.made, base}
	d.places[path] = place
	for _, key := range schemaIn {
		if sub := v.Members[key]; sub != nil && (sub.Kind == Object || sub.Kind == Bool) {
			if _, err := d.visit(sub, base, path+"/"+key); err != nil {
				return nil, err
			}
		}
	}
	for _, key := range schemasIn {
		list := v.Members[key]
		if list == nil {
			continue
		}
		for i, item := range list.Items {
			if _, err := d.visit(item, base, path+"/"+key+"/"+strconv.Itoa(i)); err != nil {
				return nil, err
			}
		}
		for _, name := range list.Names {
			if _, err := d.visit(list.Members[name], base, path+"/"+key+"/"+pointerToken(name)); err != nil {
				return nil, err
			}
		}
	}
	return place, nil
}

func pointerToken(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

// At is the schema below a place: keyword, and a name or number within it.
func (d *Document) At(p *Place, keyword string, within ...string) *Place {
	path := p.Path + "/" + keyword
	for _, name := range within {
		path += "/" + pointerToken(name)
	}
	return d.places[path]
}

// Resolve is the schema that a reference at a place names.
func (d *Document) Resolve(p *Place, reference string) (*Place, error) {
	u, err := p.base.Parse(reference)
	if err != nil {
		return nil, fmt.Errorf("found %q, expected a reference", reference)
	}
	fragment := u.Fragment
	u.Fragment, u.RawFragment = "", ""
	path, ok := d.resources[u.String()]
	if !ok {
		return nil, fmt.Errorf("%q is outside the document, and nothing is fetched", reference)
	}
	if fragment != "" && !strings.HasPrefix(fragment, "/") {
		if path, ok = d.anchors[u.String()+"#"+fragment]; !ok {
			return nil, fmt.Errorf("the document has no anchor %q", fragment)
		}
		fragment = ""
	}
	return d.walk(path, fragment, reference)
}

// walk follows a pointer from a place whose path is known. Where it ends in no place that visit
// found, it makes one.
func (d *Document) walk(path, pointer, reference string) (*Place, error) {
	if place := d.places[path+pointer]; place != nil {
		return place, nil
	}
	at := d.places[path]
	v, base := at.Value, at.base
	if pointer == "" {
		return at, nil
	}
	for _, token := range strings.Split(pointer[1:], "/") {
		path += "/" + token
		name := strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		next := v.Members[name]
		if v.Kind == Array {
			if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(v.Items) {
				next = v.Items[i]
			}
		}
		if next == nil {
			return nil, fmt.Errorf("%q leads nowhere: there is no %s", reference, path)
		}
		v = next
		if place := d.places[path]; place != nil {
			base = place.base
		}
	}
	return d.visit(v, base, path)
}

package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// public are the paths that answer without a key: they say whether the server works, and no more.
var public = []string{"/health", "/ready"}

// authorize checks the key of a request. Keys are compared by their hashes, in a time that says
// nothing of them.
func (x *exchange) authorize() error {
	if len(x.server.keys) == 0 || slices.Contains(public, x.r.URL.Path) {
		return nil
	}
	scheme, key, _ := strings.Cut(x.r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || key == "" {
		x.w.Header().Set("WWW-Authenticate", "Bearer")
		return fault(http.StatusUnauthorized, invalidRequest, "missing_api_key", "found no API key, expected a header Authorization: Bearer KEY")
	}
	sum, known := sha256.Sum256([]byte(strings.TrimSpace(key))), 0
	for _, k := range x.server.keys {
		known |= subtle.ConstantTimeCompare(sum[:], k[:])
	}
	if known == 0 {
		x.w.Header().Set("WWW-Authenticate", "Bearer")
		return fault(http.StatusUnauthorized, invalidRequest, "invalid_api_key", "the API key is none of this server's")
	}
	return nil
}

// CheckOrigin returns an error for what is the origin of no page, as browsers write them.
func CheckOrigin(origin string) error {
	u, err := url.Parse(origin)
	if origin == "*" || origin == "null" { // of pages without one
		return nil
	}
	usual := map[string]string{"http": "80", "https": "443"}
	if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != origin || strings.ToLower(origin) != origin || u.Port() != "" && u.Port() == usual[u.Scheme] {
		return errors.New("expected * or the origin of pages as browsers write it: scheme://host in small letters, a port where it is not the scheme's usual one, and nothing behind it, such as https://app.example")
	}
	return nil
}

// origin answers a browser that asks on behalf of another site's page. It reports whether the
// request was a question about that alone, which is answered then. A page of an origin that is not
// allowed is refused what would change anything, since a browser asks a server on this machine for
// every page that it shows.
func (x *exchange) origin() (answered bool, err error) {
	origin := x.r.Header.Get("Origin")
	if origin == "" {
		return false, nil
	}
	h := x.w.Header()
	h.Add("Vary", "Origin")
	allowed := x.server.options.Origins
	if !slices.Contains(allowed, "*") && !slices.Contains(allowed, origin) {
		if x.r.Method == http.MethodGet || sameOrigin(x.r, origin) {
			return false, nil
		}
		return false, fault(http.StatusForbidden, invalidRequest, "origin_not_allowed", "pages of %s may not use this server, whose owner can allow it", origin)
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "X-Request-Id, X-Ignored-Fields, Retry-After, Server-Timing")
	if x.r.Method != http.MethodOptions {
		return false, nil
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
	if headers := x.r.Header.Get("Access-Control-Request-Headers"); headers != "" {
		h.Set("Access-Control-Allow-Headers", headers)
	}
	h.Set("Access-Control-Max-Age", "86400")
	return true, x.head(http.StatusNoContent)
}

// sameOrigin reports whether a page of the server itself asks.
func sameOrigin(r *http.Request, origin string) bool {
	_, host, ok := strings.Cut(origin, "://")
	return ok && host == r.Host
}

// headerSize is the bytes of a request's header fields.
func headerSize(h http.Header) (n int) {
	for name, values := range h {
		for _, v := range values {
			n += len(name) + len(v)
		}
	}
	return n
}

package endpoint

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"time"

	"slimlab/serve/server"
)

// ServerOptions shape the server of an endpoint.
type ServerOptions struct {
	Keys             []string // API keys; without one everybody may ask
	Origins          []string // of pages that may use the server from a browser
	Certificate, Key string   // files of PEM for TLS, or neither
	Drain            time.Duration
	Version          string
	Log              *slog.Logger
}

// CheckOrigin returns an error for what no page's origin can be.
func CheckOrigin(origin string) error { return server.CheckOrigin(origin) }

// Listen opens an address, with TLS where there is a certificate.
func (o *ServerOptions) Listen(address string) (net.Listener, error) {
	var config *tls.Config
	if o.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(o.Certificate, o.Key)
		if err != nil {
			return nil, fmt.Errorf("TLS: certificate %s, key %s: %w", o.Certificate, o.Key, err)
		}
		config = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	if config != nil {
		l = tls.NewListener(l, config)
	}
	return l, nil
}

// Serve answers on a listener until ctx ends, then lets requests in flight finish for as long as
// Drain says.
func (e *Endpoint) Serve(ctx context.Context, l net.Listener, o ServerOptions) error {
	s, err := server.New(e.model, server.Options{Keys: o.Keys, Origins: o.Origins, Log: o.Log, Version: o.Version, Facts: e.facts})
	if err != nil {
		l.Close()
		return err
	}
	return s.Serve(ctx, l, o.Drain)
}

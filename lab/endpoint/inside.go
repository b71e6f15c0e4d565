package endpoint

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// inside is the base of the URLs of a server that only this process reaches.
const inside = "http://inside"

// Inside serves the endpoint to this process alone, on no port, and attaches to it. Closing the
// client aborts its requests; the endpoint stays open.
func (e *Endpoint) Inside() *Client {
	l := &channel{dialled: make(chan net.Conn), closed: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = e.Serve(ctx, l, ServerOptions{}) // an address that is never lost
	}()
	transport := &http.Transport{DialContext: l.dial}
	return &Client{base: inside, http: &http.Client{Transport: transport}, close: sync.OnceFunc(func() {
		cancel()
		<-ended
		transport.CloseIdleConnections()
	})}
}

// channel is a listener whose connections are made in this process.
type channel struct {
	dialled chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (c *channel) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case c.dialled <- there:
		return here, nil
	case <-c.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *channel) Accept() (net.Conn, error) {
	select {
	case conn := <-c.dialled:
		return conn, nil
	case <-c.closed:
		return nil, net.ErrClosed
	}
}

func (c *channel) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

func (c *channel) Addr() net.Addr { return c }

func (c *channel) Network() string { return "inside" }
func (c *channel) String() string  { return inside }

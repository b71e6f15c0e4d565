package server

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"slimlab/model/chat"
	"slimlab/model/tokenizer"
	"slimlab/serve"
	"slimlab/serve/grammar"
)

// Model is what a server answers with.
type Model struct {
	Name      string // by which clients ask for it
	Engine    *serve.Engine
	Shape     serve.Shape // of the engine's executor
	Tokenizer *tokenizer.Tokenizer
	Ends      []int32        // tokens that end an answer
	Template  *chat.Template // nil where the model has none that can be read,
	// NoTemplate says why.
	NoTemplate string
}

// Options shape a server. Zero values mean the defaults.
type Options struct {
	Keys    []string // API keys; without one everybody may ask
	Origins []string // of pages that may use the server from a browser; "*" is all
	Limits  Limits
	Log     *slog.Logger // nowhere
	Version string
	Facts   map[string]any   // what /server_info says of the model and its memory
	Now     func() time.Time // the date for templates; the machine's

	// PauseLimit is how long an engine that was paused over HTTP rests when nobody looks at it
	// any more; a minute.
	PauseLimit time.Duration
}

// Server answers requests. It is safe for concurrent use. The engine is its caller's to close.
type Server struct {
	model   Model
	options Options
	keys    [][sha256.Size]byte
	begun   time.Time
	metrics *metrics
	mux     *http.ServeMux
	gate    *gate
	rest    rest

	vocabulary func() *grammar.Vocabulary    // for forms of answers; made by the first
	callForm   func() (chat.CallForm, error) // found by the first that must call

	base  context.Context // ends when requests in flight are aborted
	abort context.CancelFunc
}

// New makes a server.
func New(m Model, o Options) (*Server, error) {
	switch {
	case m.Name == "":
		return nil, errors.New("server: the model has no name")
	case m.Template == nil && m.NoTemplate == "":
		return nil, errors.New("server: the model has neither a chat template nor a reason for that")
	}
	o.Limits = o.Limits.complete()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.PauseLimit = cmp.Or(o.PauseLimit, time.Minute)
	s := &Server{model: m, options: o, begun: time.Now(), gate: newGate(), mux: http.NewServeMux()}
	s.vocabulary = sync.OnceValue(func() *grammar.Vocabulary { return newVocabulary(&s.model) })
	s.callForm = sync.OnceValues(func() (chat.CallForm, error) { return newCallForm(&s.model) })
	for _, key := range o.Keys {
		if key != strings.TrimSpace(key) || key == "" {
			return nil, errors.New("server: an API key is empty, or begins or ends with white space")
		}
		s.keys = append(s.keys, sha256.Sum256([]byte(key)))
	}
	for _, origin := range o.Origins {
		if err := CheckOrigin(origin); err != nil {
			return nil, fmt.Errorf("server: origin %q: %w", origin, err)
		}
	}
	s.base, s.abort = context.WithCancel(context.Background())
	s.metrics = newMetrics(m, s.positions())
	for path, methods := range s.routes() {
		s.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			s.serve(w, r, func(x *exchange) error { return x.dispatch(methods) })
		})
	}
	s.mux.HandleFunc("/", s.unknown)
	return s, nil
}

// methods are the endpoints of a path.
type methods map[string]endpoint

func (s *Server) routes() map[string]methods {
	post := func(e endpoint) methods { return methods{http.MethodPost: s.counted(e)} }
	get := func(e endpoint) methods { return methods{http.MethodGet: e} }
	flush := post(s.flush)
	if len(s.keys) > 0 { // else every page that a browser shows could do it, as an image
		flush[http.MethodGet] = s.counted(s.flush)
	}
	return map[string]methods{
		"/v1/completions":      post(s.completions),
		"/v1/chat/completions": post(s.chat),
		"/v1/responses":        post(s.responses),
		"/v1/models":           get(s.models),
		"/v1/models/{id...}":   get(s.oneModel),
		"/v1/embeddings":       post(s.embeddings),
		"/v1/score":            post(s.score),
		"/generative_scoring":  post(s.generativeScore),
		"/tokenize":            post(s.tokenize),
		"/detokenize":          post(s.detokenize),
		"/health":              get(s.health),
		"/ready":               get(s.ready),
		"/metrics":             get(s.showMetrics),
		"/server_info":         get(s.info),
		"/flush_cache":         flush,
		"/debug/tree":          get(s.tree),
		"/debug/engine":        get(s.doing),
		"/debug/pause":         post(s.driven((*serve.Engine).Pause)),
		"/debug/step":          post(s.driven((*serve.Engine).Step)),
		"/debug/resume":        post(s.driven((*serve.Engine).Resume)),
	}
}

// paths lists the paths for a reader who has asked for another one.
func (s *Server) paths() (paths []string) {
	for path := range s.routes() {
		paths = append(paths, strings.TrimSuffix(path, "/{id...}"))
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// counted is an endpoint whose requests are in flight: the server waits for them when it ends.
func (s *Server) counted(e endpoint) endpoint {
	return func(x *exchange) error {
		if !s.gate.enter() {
			x.w.Header().Set("Connection", "close")
			return ending503()
		}
		defer s.gate.leave()
		return e(x)
	}
}

// dispatch runs the endpoint of the request's method.
func (x *exchange) dispatch(m methods) error {
	return x.guarded(func(x *exchange) error {
		method := x.r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		e, ok := m[method]
		if !ok {
			var allowed []string
			for method := range m {
				allowed = append(allowed, method)
			}
			slices.Sort(allowed)
			x.w.Header().Set("Allow", strings.Join(allowed, ", "))
			return fault(http.StatusMethodNotAllowed, invalidRequest, "method_not_allowed", "found %s %s, expected %s", x.r.Method, x.r.URL.Path, strings.Join(allowed, " or "))
		}
		return e(x)
	})
}

// guarded runs an endpoint for a request that may ask.
func (x *exchange) guarded(e endpoint) error {
	limit := x.server.options.Limits.Header
	if found := headerSize(x.r.Header); found > limit {
		return fault(http.StatusRequestHeaderFieldsTooLarge, invalidRequest, "limit_exceeded", "the header: found %d bytes, expected at most %d", found, limit)
	}
	if answered, err := x.origin(); answered || err != nil {
		return err
	}
	if err := x.authorize(); err != nil {
		return err
	}
	return e(x)
}

func (s *Server) showMetrics(x *exchange) error {
	if err := x.hurry(); err != nil {
		return err
	}
	x.status = http.StatusOK
	s.metrics.handler.ServeHTTP(x.w, x.r)
	return nil
}

// context is that of a request's work: it ends with the client, and when requests are aborted.
func (s *Server) context(client context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(client)
	release := context.AfterFunc(s.base, cancel)
	return ctx, func() {
		release()
		cancel()
	}
}

// Handler is the server for a listener of another program.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.route) }

// route answers a path with empty or dotted parts itself: the mux would send its client elsewhere,
// with a page of HTML.
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	if p := r.URL.EscapedPath(); path.Clean(strings.TrimSuffix(p, "/")+"/") != cmp.Or(strings.TrimSuffix(p, "/"), "/") {
		s.unknown(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// unknown answers a request for a path that the server does not have.
func (s *Server) unknown(w http.ResponseWriter, r *http.Request) {
	s.serve(w, r, func(x *exchange) error {
		return x.guarded(func(*exchange) error {
			return fault(http.StatusNotFound, invalidRequest, "unknown_url", "found %s %s, expected one of %s", r.Method, r.URL.Path, strings.Join(s.paths(), ", "))
		})
	})
}

// Serve answers on a listener until ctx ends, then lets requests in flight finish for as long as
// patience says. It returns nil when it ended so, with all connections closed. Where the engine
// ends by a fault it ends too, since nothing can be served any more, and returns why.
func (s *Server) Serve(ctx context.Context, l net.Listener, patience time.Duration) error {
	limits := s.options.Limits
	h := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: min(limits.Arrival, 10*time.Second), IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: limits.Header + 4096, // what is a little larger gets an answer that names the limit
		ErrorLog:       slog.NewLogLogger(s.options.Log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("server: %w", err)
	case <-s.model.Engine.Ended():
		s.logFault()
	case <-ctx.Done():
	}
	s.gate.close() // before anyone is told of it
	s.options.Log.Info("draining", "patience_s", patience.Seconds())
	timeout, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	aborted := s.Drain(timeout)
	cancel()
	s.options.Log.Info("drained", "aborted", aborted)
	// What is left are connections that wait for a next request, and answers on their last bytes.
	timeout, cancel = context.WithTimeout(context.WithoutCancel(ctx), limits.Departure)
	defer cancel()
	err := h.Shutdown(timeout)
	if err != nil {
		err = h.Close()
	}
	<-failed
	return errors.Join(s.fault(), err)
}

// fault is why the engine has ended, where nobody has closed it.
func (s *Server) fault() error {
	err := s.model.Engine.Err()
	if err == nil || errors.Is(err, serve.ErrClosed) {
		return nil
	}
	return fmt.Errorf("server: %w", err)
}

// logFault says once, for those who look after the server, that the engine has ended, and where.
func (s *Server) logFault() {
	err := s.fault()
	if err == nil {
		return
	}
	stack := ""
	var died *serve.DiedError
	if errors.As(err, &died) {
		stack = died.Stack
	}
	s.options.Log.Error("the engine has ended, and the server ends with it", "cause", err, "stack", stack)
}

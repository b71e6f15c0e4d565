package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"slimlab/internal/bytesize"
	"slimlab/internal/nearest"
	"slimlab/lab/endpoint"
	"slimlab/lab/eval"
)

// loadFlags are the flags of the verbs that load a model to serve it.
type loadFlags struct {
	endpoint.Options
	cache string
}

func (f *loadFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.DType, "dtype", "bfloat16", "type of unquantized weights: "+strings.Join(eval.DTypes(), ", "))
	flags.StringVar(&f.KV, "kv", "", "KV cache format, where it is not that of --dtype: "+strings.Join(eval.Caches(), ", "))
	flags.StringVar(&f.Head, "head", "", "number format that a head of floats, with a tied embedding, is rounded to as it is loaded: "+strings.Join(eval.Heads(), ", ")+" (default: left as it is)")
	flags.StringVar(&f.cache, "cache-bytes", "", "memory of the KV cache, such as 512MiB or 4GB (default: room for 32,768 tokens)")
}

func (f *loadFlags) check(cmd *cobra.Command) error {
	if err := checkDType(&f.DType, eval.DTypes()); err != nil {
		return err
	}
	if cmd.Flags().Changed("kv") {
		if err := nearest.Check("--kv", f.KV, eval.Caches()); err != nil {
			return err
		}
	}
	if cmd.Flags().Changed("head") {
		if err := nearest.Check("--head", f.Head, eval.Heads()); err != nil {
			return err
		}
	}
	if cmd.Flags().Changed("cache-bytes") {
		n, err := bytesize.Count(f.cache)
		if err == nil && n == 0 {
			err = errors.New("expected room for a page of tokens at least")
		}
		if err != nil {
			return fmt.Errorf("--cache-bytes %s: %w", f.cache, err)
		}
		f.CacheBytes = n
	}
	return nil
}

// serveFlags are the flags of `slimlab serve`.
type serveFlags struct {
	loadFlags
	endpoint.ServerOptions
	host, keyFile, logFormat string
	recall                   string
	port                     int
	insecure                 bool
}

// keyVariable names the environment variable that holds API keys.
const keyVariable = "SLIMLAB_API_KEY"

func (p *program) serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve MODEL",
		Short: "answer OpenAI's clients over HTTP with a model",
		Long: "serve loads a MODEL, a Hugging Face folder, a GGUF file, pretrained:NAME or run:ID/ROW, and answers OpenAI's clients: completions, chats with tools, responses, models; tokenize, metrics.\n" +
			"On SIGTERM or an interrupt it takes no more requests, finishes those in flight and ends with 0; a second signal ends it at once.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error { return p.serve(cmd, names[0], f) },
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.host, "host", "127.0.0.1", "address to listen at; another than this machine's own needs a key, or --insecure")
	flags.IntVar(&f.port, "port", 8000, "port to listen at; 0 chooses a free one")
	flags.StringVar(&f.Name, "name", "", "name of the model for clients (default: that of its folder or file)")
	flags.StringVar(&f.recall, "recall-bytes", "", "memory of the logits after whole prompts, and of the prompts: one that comes again while the cache holds it is answered by them; 0 keeps none (default: 32MiB)")
	flags.IntVar(&f.Running, "max-running", 0, "requests that run at once (default: 256)")
	flags.IntVar(&f.Ranks, "ranks", 1, "ranks that the model is divided between, which compute side by side; a divisor of its KV heads")
	flags.StringVar(&f.Draft, "draft", "", "smaller MODEL of the same tokens that foretells them: the answers are the same, and sooner where it is often right")
	flags.IntVar(&f.DraftTokens, "draft-tokens", 0, "tokens that --draft foretells at a time, at most (default: 4)")
	flags.StringVar(&f.Policy, "policy", "aged-lpm", "who of the waiting requests runs next: "+strings.Join(endpoint.Policies(), ", "))
	flags.StringVar(&f.Eviction, "eviction", "lru", "prefix that leaves a full cache first: "+strings.Join(endpoint.Evictions(), ", "))
	flags.IntVar(&f.BatchTokens, "batch-tokens", 0, "tokens that a step computes, at most (default: 2048)")
	flags.IntVar(&f.Chunk, "chunk-tokens", 0, "tokens of one prompt that a step computes, at most: with fewer the others wait less between their tokens (default: --batch-tokens)")
	flags.IntVar(&f.WaitingRequests, "max-waiting", 1024, "requests that wait, at most; another is a 429, unless its own answers are the only ones that would wait; 0 is no bound")
	flags.IntVar(&f.WaitingTokens, "max-waiting-tokens", 0, "tokens of the prompts that wait, at most, as --max-waiting; 0 is no bound")
	flags.DurationVar(&f.WaitingTime, "max-wait", 0, "time after which a request that still waits is a 503; 0s is no bound")
	flags.StringArrayVar(&f.Keys, "api-key", nil, "key that clients have to send (repeatable; other users of this machine can see it: --api-key-file and "+keyVariable+" hide it)")
	flags.StringVar(&f.keyFile, "api-key-file", "", "file of keys, one a line")
	flags.StringArrayVar(&f.Origins, "cors", nil, "origin of pages that may use the server from a browser, such as https://app.example, or * (repeatable)")
	flags.BoolVar(&f.insecure, "insecure", false, "listen at an address that others can reach, without a key")
	flags.StringVar(&f.Certificate, "tls-cert", "", "file of the certificate, in PEM")
	flags.StringVar(&f.ServerOptions.Key, "tls-key", "", "file of the certificate's key, in PEM")
	flags.DurationVar(&f.Drain, "drain", 30*time.Second, "time for requests in flight to finish after a signal")
	flags.StringVar(&f.logFormat, "log-format", "text", "format of the log on standard error: text, json")
	return cmd
}

func (f *serveFlags) check(cmd *cobra.Command) error {
	if err := cmp.Or(f.loadFlags.check(cmd), nearest.Check("--policy", f.Policy, endpoint.Policies()), nearest.Check("--eviction", f.Eviction, endpoint.Evictions()), nearest.Check("--log-format", f.logFormat, []string{"text", "json"})); err != nil {
		return err
	}
	if cmd.Flags().Changed("recall-bytes") {
		if err := f.readRecall(); err != nil {
			return fmt.Errorf("--recall-bytes %s: %w", f.recall, err)
		}
	}
	switch changed := cmd.Flags().Changed; {
	case f.port < 0 || f.port > 65535:
		return fmt.Errorf("--port %d: expected 0 to 65535", f.port)
	case changed("max-running") && f.Running < 1:
		return fmt.Errorf("--max-running %d: expected at least 1", f.Running)
	case changed("batch-tokens") && f.BatchTokens < 1:
		return fmt.Errorf("--batch-tokens %d: expected at least 1", f.BatchTokens)
	case f.BatchTokens > 0 && f.Running > f.BatchTokens:
		return fmt.Errorf("--max-running %d: expected at most --batch-tokens, %d: each request that runs computes a token in a step", f.Running, f.BatchTokens)
	case changed("chunk-tokens") && f.Chunk < 1:
		return fmt.Errorf("--chunk-tokens %d: expected at least 1", f.Chunk)
	case f.Ranks < 1:
		return fmt.Errorf("--ranks %d: expected at least 1", f.Ranks)
	case changed("draft") && f.Draft == "":
		return errors.New("--draft: found no name, expected a MODEL")
	case changed("draft-tokens") && f.Draft == "":
		return errors.New("--draft-tokens: found no --draft, expected one beside it")
	case changed("draft-tokens") && (f.DraftTokens < 1 || f.DraftTokens > endpoint.MaxDraft):
		return fmt.Errorf("--draft-tokens %d: expected 1 to %d", f.DraftTokens, endpoint.MaxDraft)
	case f.WaitingRequests < 0:
		return fmt.Errorf("--max-waiting %d: expected 0 for no bound, or more", f.WaitingRequests)
	case f.WaitingTokens < 0:
		return fmt.Errorf("--max-waiting-tokens %d: expected 0 for no bound, or more", f.WaitingTokens)
	case f.WaitingTime < 0:
		return fmt.Errorf("--max-wait %v: expected 0s for no bound, or more", f.WaitingTime)
	case changed("name") && strings.TrimSpace(f.Name) == "":
		return fmt.Errorf("--name %q: expected the name by which clients ask for the model", f.Name)
	case f.Drain < 0:
		return fmt.Errorf("--drain %v: expected 0s or more", f.Drain)
	case (f.Certificate == "") != (f.ServerOptions.Key == ""):
		return errors.New("found one of --tls-cert and --tls-key, expected both or none")
	}
	for _, origin := range f.Origins {
		if err := endpoint.CheckOrigin(origin); err != nil {
			return fmt.Errorf("--cors %q: %w", origin, err)
		}
	}
	if err := f.readHost(cmd.Context()); err != nil {
		return err
	}
	return f.readKeys()
}

func (f *serveFlags) readRecall() (err error) {
	if f.RecallBytes, err = bytesize.Count(f.recall); err == nil && f.RecallBytes == 0 {
		f.RecallBytes = -1 // none, where 0 is the default
	}
	return err
}

// readHost takes the brackets of an IPv6 address, and refuses a name that no address has.
func (f *serveFlags) readHost(ctx context.Context) error {
	if inner, ok := strings.CutPrefix(f.host, "["); ok && strings.HasSuffix(inner, "]") {
		f.host = strings.TrimSuffix(inner, "]")
	}
	if f.host == "" || net.ParseIP(f.host) != nil {
		return nil
	}
	if _, err := net.DefaultResolver.LookupHost(ctx, f.host); err != nil {
		return fmt.Errorf("--host %s: expected an address of this machine, such as 127.0.0.1: %w", f.host, err)
	}
	return nil
}

// readKeys gathers the keys of the flags, the file and the environment, and refuses to let
// everybody in by accident.
func (f *serveFlags) readKeys() error {
	if key := os.Getenv(keyVariable); key != "" {
		f.Keys = append(f.Keys, key)
	}
	if f.keyFile != "" {
		data, err := os.ReadFile(f.keyFile)
		if err != nil {
			return fmt.Errorf("--api-key-file: %w", err)
		}
		keys := strings.Fields(string(data))
		if len(keys) == 0 {
			return fmt.Errorf("--api-key-file %s: found no key, expected one a line", f.keyFile)
		}
		f.Keys = append(f.Keys, keys...)
	}
	for _, key := range f.Keys {
		if key == "" || strings.ContainsAny(key, " \t\r\n") {
			return errors.New("an API key is empty or has white space within it, expected one word")
		}
	}
	if len(f.Keys) == 0 && !f.insecure && !loopback(f.host) {
		return fmt.Errorf("--host %s can be reached from other machines, and there is no API key: expected --api-key-file, %s or --insecure", f.host, keyVariable)
	}
	return nil
}

// loopback reports whether only this machine can reach a host.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (p *program) serve(cmd *cobra.Command, name string, f serveFlags) error {
	if err := f.check(cmd); err != nil {
		return usage(err)
	}
	for _, held := range []string{name, f.Draft} {
		release, err := p.home.Hold(cmd.Context(), held)
		if err != nil {
			return usage(err)
		}
		defer release()
	}
	l, err := f.Listen(net.JoinHostPort(f.host, strconv.Itoa(f.port)))
	if err != nil {
		return usage(err)
	}
	e, err := endpoint.Open(cmd.Context(), p.home, name, f.Options)
	if err != nil {
		l.Close()
		return usage(err)
	}
	defer e.Close()
	for _, note := range e.Notes {
		fmt.Fprintln(p.stderr, note)
	}
	scheme := "http"
	if f.Certificate != "" {
		scheme = "https"
	}
	fmt.Fprintf(p.stderr, "serving %s at %s://%s/v1\n", e.Name(), scheme, l.Addr())
	f.Version, f.Log = version(), newLog(p, f.logFormat)
	signals, restore := p.signals()
	defer restore()
	ended := make(chan error, 1)
	ctx, drain := context.WithCancel(context.WithoutCancel(cmd.Context()))
	defer drain()
	go func() { ended <- e.Serve(ctx, l, f.ServerOptions) }()
	select {
	case err := <-ended:
		return broke(err)
	case <-cmd.Context().Done():
	}
	fmt.Fprintf(p.stderr, "finishing the requests in flight, for %v at most; another signal ends at once\n", f.Drain)
	drain()                           // and the log goes on behind that line
	for left := 2; left > 0; left-- { // the signal that has ended the context is the first
		select {
		case err := <-ended:
			return broke(err)
		case <-signals:
		}
	}
	return failure{exitInterrupted, errors.New("interrupted; requests in flight were dropped")}
}

func newLog(p *program, format string) *slog.Logger {
	if format == "json" {
		return slog.New(slog.NewJSONHandler(p.stderr, nil))
	}
	return slog.New(slog.NewTextHandler(p.stderr, nil))
}

// signals makes the verb end itself: it gets the signals that end other verbs, the one that ends
// the context among them.
func (p *program) signals() (signals <-chan os.Signal, restore func()) {
	all := make(chan os.Signal, 4)
	signal.Notify(all, os.Interrupt, syscall.SIGTERM)
	p.endsItself.Store(true)
	return all, func() { signal.Stop(all) }
}

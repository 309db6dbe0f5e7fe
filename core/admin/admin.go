// Package admin serves what an operator looks at over HTTP: /metrics in
// Prometheus' format, /healthz for load balancers and supervisors, and a plain status page.
//
// It is given what to show as functions and a Gatherer, so that it can not reach
// into the server. It changes nothing, has no authentication, and by default listens nowhere; bind it to loopback.
//
//	GET /          the status page: HTML, or text for who does not ask for HTML
//	GET /healthz   200 "ok", or 503 with a line for each component that can not serve
//	GET /metrics   all metrics
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Component is a part of the server that can be up or down.
type Component struct {
	Name   string // "plugin mdbox"
	OK     bool
	State  string // a word: "running"; "" = up or DOWN
	Detail string // one line, for people
}

// Row is a line of the status page.
type Row struct {
	Name  string
	Value string
}

// Section is a block of the status page.
type Section struct {
	Title string
	Rows  []Row
}

// Options says what is shown. All functions must be safe for concurrent use and must not block.
type Options struct {
	Metrics    prometheus.Gatherer
	Components func() []Component
	Status     func() []Section
	Log        *slog.Logger
}

// Server is a running admin listener.
type Server struct {
	http *http.Server
	ln   net.Listener
	done chan struct{}
}

// Limits of a request. A scraper is quick and asks for little.
const (
	requestTimeout = 10 * time.Second
	maxHeader      = 16 << 10
)

// Start serves at ln, which it owns, until Close.
func Start(ln net.Listener, o Options) *Server {
	s := &Server{ln: ln, done: make(chan struct{}), http: &http.Server{
		Handler:           Handler(o),
		ReadTimeout:       requestTimeout,
		ReadHeaderTimeout: requestTimeout,
		WriteTimeout:      requestTimeout,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
	}}
	go func() { // ends with Close
		defer close(s.done)
		if err := s.http.Serve(ln); err != nil && !errors.Is(err, http.ErrServerClosed) {
			o.Log.Error("admin listener ended", "error", err)
		}
	}()
	return s
}

// Addr returns the address that is listened at.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Close ends requests that are under way when ctx ends, and the listener at once.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	<-s.done
	return err
}

// Handler returns the pages.
func Handler(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Metrics, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { health(w, o.Components()) })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { status(w, r, o) })
	return mux
}

func plain(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
}

func health(w http.ResponseWriter, components []Component) {
	plain(w)
	code := http.StatusOK
	for _, c := range components {
		if !c.OK {
			code = http.StatusServiceUnavailable
		}
	}
	w.WriteHeader(code)
	if code == http.StatusOK {
		fmt.Fprintln(w, "ok")
		return
	}
	for _, c := range components {
		if !c.OK {
			fmt.Fprintf(w, "%s: down: %s\n", c.Name, c.Detail)
		}
	}
}

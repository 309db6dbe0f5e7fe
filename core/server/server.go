package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roostmail/roost/core/admin"
	"github.com/roostmail/roost/core/authcache"
	"github.com/roostmail/roost/core/config"
	"github.com/roostmail/roost/core/heap"
	"github.com/roostmail/roost/core/hibernate"
	"github.com/roostmail/roost/core/host"
	"github.com/roostmail/roost/core/imap"
	"github.com/roostmail/roost/core/keeper"
	"github.com/roostmail/roost/core/relay"
	"github.com/roostmail/roost/core/session"
)

// Options is what a Server is made of.
type Options struct {
	Config *config.Config
	Bundle Bundle
	// Executable is the program that is run as "PROGRAM plugin KIND/NAME" for bundled
	// plugins. "" = this process's own, also if its file was replaced since.
	Executable string
	Version    string
	Log        *slog.Logger
	// Keeper is the process that goes on when this one ends; nil = none.
	Keeper *keeper.Client
	// Level is the level of Log, set by Reload. It may be nil.
	Level *slog.LevelVar
}

// Server is a running server.
type Server struct {
	opts    Options
	log     *slog.Logger
	started time.Time
	applied *applied

	estate   *estate // nil = no keeper
	host     *host.Host
	cache    *authcache.Cache // nil = passwords are not remembered
	protocol *imap.Server
	engine   *session.Engine
	watcher  *watcher // nil = storage can not be watched
	governor *hibernate.Governor
	relay    *relay.Relay // nil = no notify plugin
	admin    *admin.Server
	registry *prometheus.Registry

	// Addresses as they were bound, in the order of the configuration.
	imapAddrs, imapsAddrs []net.Addr
	adminAddr             net.Addr

	answers  sync.WaitGroup // of Answer
	stopped  chan struct{}  // closed when they are to end
	stopOnce sync.Once
}

// Start makes a server that serves. If it fails, everything it had begun is ended.
// ctx ends the start only.
func Start(ctx context.Context, o Options) (*Server, error) {
	heap.Reserve(heapReserve)
	s := &Server{opts: o, log: o.Log, started: time.Now(), applied: newApplied(o.Config), registry: prometheus.NewRegistry(), stopped: make(chan struct{})}
	if err := s.start(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) error {
	c := s.opts.Config
	var handshakes *tls.Config // nil = no TLS
	var err error
	if c.TLS.Enabled() {
		if handshakes, err = loadTLS(c.TLS); err != nil {
			return err
		}
	}
	if s.estate, err = newEstate(s.opts.Keeper); err != nil {
		return err
	}
	defer s.estate.close(s.log) // listeners that are not configured any more
	ls, err := bind(c, s.estate)
	if err != nil {
		return err
	}
	defer ls.close() // those that nobody has taken over
	if err := s.startEngine(ctx, handshakes); err != nil {
		return err
	}
	heap.Prime()
	if err := s.serve(ls); err != nil {
		return err
	}
	if s.estate != nil && s.estate.inherits { // the log has said "ready" for all of them
		return s.estate.ready(s.engine)
	}
	admin := ""
	if s.adminAddr != nil {
		admin = s.adminAddr.String()
	}
	s.log.Info("ready", "version", s.opts.Version, "imap", texts(s.imapAddrs), "imaps", texts(s.imapsAddrs), "admin", admin)
	return s.estate.ready(s.engine)
}

// texts returns addresses as they are written in the configuration.
func texts(addrs []net.Addr) []string {
	list := make([]string, len(addrs))
	for i, a := range addrs {
		list[i] = a.String()
	}
	return list
}

// startEngine starts everything behind the listeners.
func (s *Server) startEngine(ctx context.Context, handshakes *tls.Config) error {
	h, err := host.New(host.Options{Log: s.log})
	if err != nil {
		return err
	}
	s.host = h
	ps, err := s.startPlugins(ctx)
	if err != nil {
		return err
	}
	if err := s.startSessions(s.remember(ps.auth.Auth()), ps.storage.Storage()); err != nil {
		return err
	}
	s.protocol.Attach(s.engine.SignalMailbox)
	s.protocol.AttachSessions(s.engine.SignalSession)
	s.engine.SetTLS(handshakes)
	s.watcher = startWatcher(ps.storage, s.protocol.Mailboxes(), s.log)
	s.governor = hibernate.Start(s.hibernateConfig(ps.hibernation), s.protocol.Mailboxes(), s.sample, s.log)
	if ps.notify != nil {
		s.relay = relay.Start(relayConfig(s.opts.Config.Notify, ps.notify), s.protocol.Mailboxes(), s.protocol, ps.storage.Storage(), s.log)
	}
	return nil
}

// serve hands the listeners over.
func (s *Server) serve(ls *listeners) error {
	for _, l := range ls.imap {
		s.imapAddrs = append(s.imapAddrs, l.Addr())
		if err := s.engine.Serve(l, session.Listener{Addr: l.Addr().String()}); err != nil {
			return fmt.Errorf("server: listen at %s: %w", l.Addr(), err)
		}
	}
	for _, l := range ls.imaps {
		s.imapsAddrs = append(s.imapsAddrs, l.Addr())
		if err := s.engine.Serve(l, session.Listener{Addr: l.Addr().String(), ImplicitTLS: true}); err != nil {
			return fmt.Errorf("server: listen at %s: %w", l.Addr(), err)
		}
	}
	s.registerMetrics()
	if ls.admin != nil {
		s.adminAddr = ls.admin.Addr()
		s.admin = admin.Start(ls.admin, admin.Options{Metrics: s.registry, Components: s.components, Status: s.status, Log: s.log})
		ls.admin = nil
	}
	return nil
}

// Drain stops accepting, lets commands that are under way end, and says BYE to all other sessions. It
// returns when there is no session left, or after [limits] drain_timeout, or when ctx ends. Close must follow.
func (s *Server) Drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Config.Limits.DrainTimeout)
	defer cancel()
	if s.estate != nil {
		if err := s.estate.client.Stopping(); err != nil {
			s.log.Warn("the keeper does not know that the server ends", "error", err)
		}
	}
	s.log.Info("draining", "sessions", s.engine.Stats().Sessions)
	if err := s.engine.Drain(ctx); err != nil {
		return fmt.Errorf("server: sessions are left after [limits] drain_timeout: %w", err)
	}
	return nil
}

// closeTimeout bounds the end of requests to the admin listener.
const closeTimeout = time.Second

// Close ends the server: sessions without a farewell, then the plugins. It
// returns when every goroutine and child process has ended.
func (s *Server) Close() error {
	s.stopAnswers()
	var errs []error
	if s.admin != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		errs = append(errs, s.admin.Close(ctx))
		cancel()
	}
	if s.engine != nil {
		s.engine.Close()
	}
	if s.governor != nil {
		s.governor.Close()
	}
	if s.watcher != nil {
		s.watcher.close()
	}
	if s.relay != nil {
		s.relay.Close()
	}
	if s.protocol != nil {
		s.protocol.Close()
	}
	if s.host != nil {
		errs = append(errs, s.host.Close())
	}
	return errors.Join(errs...)
}

// Reload takes over a new configuration's certificate and log level. Everything else
// needs a restart, or a reload of the plugin: what has changed of it is logged, and returned.
// If it fails, the old certificate stays in use.
func (s *Server) Reload(c *config.Config) (Unapplied, error) {
	if s.opts.Level != nil {
		s.opts.Level.Set(c.Log.Level)
	}
	if s.opts.Config.TLS.Enabled() && c.TLS.Enabled() {
		t := s.opts.Config.TLS // all but the files needs a restart
		t.Cert, t.Key, t.ClientCA = c.TLS.Cert, c.TLS.Key, c.TLS.ClientCA
		handshakes, err := loadTLS(t)
		if err != nil {
			return Unapplied{}, err
		}
		s.engine.SetTLS(handshakes)
	}
	if s.cache != nil {
		s.cache.Flush()
	}
	s.log.Info("reloaded", "level", c.Log.Level)
	left := s.applied.compare(c)
	if len(left.Restart) > 0 {
		s.log.Warn("changed, but not taken over: roost reload --binary or a restart does", "keys", left.Restart)
	}
	if len(left.Plugin) > 0 {
		s.log.Warn("changed, but not taken over: roost plugin reload does", "keys", left.Plugin)
	}
	return left, nil
}

// Addrs returns the addresses that are listened at, as bound; admin is nil without [admin].
func (s *Server) Addrs() (imap, imaps []net.Addr, admin net.Addr) {
	return s.imapAddrs, s.imapsAddrs, s.adminAddr
}

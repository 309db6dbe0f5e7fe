package imap

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/heap"
	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/quiet"
	"github.com/roostmail/roost/core/session"
	"github.com/roostmail/roost/core/tally"
	"github.com/roostmail/roost/core/users"
)

// Server is the protocol engine. It implements session.Protocol.
type Server struct {
	cfg      Config
	auth     backend.Auth
	storage  backend.Storage
	writer   backend.Writer   // nil: storage only reads
	modseqs  backend.ModSeqs  // nil: storage keeps no modseqs
	metadata backend.Metadata // nil: storage keeps no annotations
	quota    backend.Quota    // nil: storage has no quotas
	acl      backend.ACL      // nil: storage has no access control lists
	hubs     *hubs            // of NOTIFY
	log      *slog.Logger
	names    names
	users    *users.Users
	boxes    *mailbox.Registry
	doors    doors
	signal   atomic.Pointer[func(id uint32)]
	logins   atomic.Uint64
	requests atomic.Uint64 // number of the last one, of backend.Origin
	pool     sync.Pool     // of *request
	quiet    *quiet.Watch
	offers   offers // of storage

	savedBytes      atomic.Int64 // of all saved search results
	savedRefused    session.RefusalCount
	refused         refusals
	contextsRefused session.RefusalCount // searches with UPDATE
}

// quietAfter is for how long no command has needed a worker when the server gives back the memory that its work has left behind.
const quietAfter = 7 * time.Second

var _ session.Protocol = (*Server)(nil)

// New returns a server. Close ends what it starts. Mailboxes tell of changes to
// what Attach was given; nobody is told before. It fails on namespaces that contradict each other.
func New(cfg Config, auth backend.Auth, storage backend.Storage, log *slog.Logger) (*Server, error) {
	n, err := newNames(cfg.Namespaces)
	if err != nil {
		return nil, fmt.Errorf("imap: %w", err)
	}
	info := auth.Info()
	if _, can := auth.(backend.SASL); !can {
		info.Capabilities = nil
	}
	if err := CheckMechanisms(cfg.Mechanisms, info); err != nil {
		return nil, err
	}
	if cfg.clock == nil {
		cfg.clock = &progressClock{time.Now, every}
	}
	srv := &Server{cfg: cfg, auth: auth, storage: storage, log: log, names: n, offers: offersOf(storage.Info())}
	if w, ok := storage.(backend.Writer); ok && storage.Info().Has(backend.CapWrite) {
		srv.writer = w
	}
	srv.doors = doors{perAddress: tally.New(), attempts: newAttempts(time.Now), users: newAttempts(time.Now)}
	// When the mailboxes that the last commands have used sleep, too.
	srv.quiet = quiet.NewWatch(cfg.Mailboxes.Warm+quietAfter, func() {
		srv.boxes.Trim()
		heap.Free()
	})
	if m, ok := storage.(backend.ModSeqs); ok && storage.Info().Has(backend.CapModSeqs) {
		srv.modseqs = m
	}
	if m, ok := storage.(backend.Metadata); ok && storage.Info().Has(backend.CapMetadata) {
		srv.metadata = m
	}
	if q, ok := storage.(backend.Quota); ok && storage.Info().Has(backend.CapQuota) {
		srv.quota = q
	}
	if a, ok := storage.(backend.ACL); ok && storage.Info().Has(backend.CapACL) {
		srv.acl = a
	}
	srv.pool.New = func() any { return new(request) }
	if srv.boxes, err = mailbox.NewRegistry(cfg.Mailboxes, storage, srv.changed, log); err != nil {
		return nil, fmt.Errorf("imap: %w", err)
	}
	srv.users = srv.boxes.Users()
	srv.hubs = newHubs(srv)
	srv.requests.Store(rand.Uint64())
	return srv, nil
}

// Attach sets what is called when the sessions of a mailbox should look at it:
// session.Engine.SignalMailbox.
func (srv *Server) Attach(signalMailbox func(id uint32)) { srv.signal.Store(&signalMailbox) }

// Mailboxes returns the mailboxes, for who reads the watcher's events and who decides which of them sleep.
func (srv *Server) Mailboxes() *mailbox.Registry { return srv.boxes }

// Users returns the number of different users that are logged in.
func (srv *Server) Users() int { return srv.users.LoggedIn() }

// Logins returns how many times a client has logged in since the start.
func (srv *Server) Logins() uint64 { return srv.logins.Load() }

// SessionsOf returns how many sessions of a user are logged in.
func (srv *Server) SessionsOf(user string) int { return srv.users.Sessions(user) }

// Close forgets all mailboxes. The session engine must be closed before.
func (srv *Server) Close() { srv.boxes.Close() }

func (srv *Server) changed(id uint32) {
	if f := srv.signal.Load(); f != nil {
		(*f)(id)
	}
}

// Greet implements session.Protocol (RFC 3501 §7.1.1, §7.1: CAPABILITY code).
func (srv *Server) Greet(s *session.Session) {
	s.SetDeadline(srv.cfg.LoginTimeout)
	b := s.Buffer()
	*b = append(*b, "* OK [CAPABILITY "...)
	*b = srv.appendCapabilities(*b, s)
	*b = append(*b, "] "...)
	*b = append(*b, srv.cfg.Greeting...)
	*b = append(*b, '\r', '\n')
	s.Commit()
}

// Full implements session.Protocol.
func (srv *Server) Full(limit string) []byte {
	return []byte("* BYE [UNAVAILABLE] Too many connections, try again later (" + limit + ").\r\n")
}

// Shutdown implements session.Protocol.
func (srv *Server) Shutdown(s *session.Session) {
	s.State().Proto = stateLogout
	s.WriteString("* BYE [UNAVAILABLE] Server is shutting down.\r\n")
	s.Close()
}

// Evict implements session.Protocol.
func (srv *Server) Evict(s *session.Session, limit string) {
	s.State().Proto = stateLogout
	s.WriteString("* BYE [UNAVAILABLE] Too many connections that have not logged in (" + limit + ").\r\n")
	s.Close()
}

// Closed implements session.Protocol.
func (srv *Server) Closed(s *session.Session) { srv.leaveAll(s) }

// leaveAll takes the session off its mailbox, its user, and all that is counted for it.
func (srv *Server) leaveAll(s *session.Session) {
	srv.closeMailbox(s)
	srv.dropNotify(s)
	st := s.State()
	srv.left(s)
	srv.users.Logout(st.User)
	st.User = 0
}

// closeMailbox takes the session off its mailbox, if it has one.
func (srv *Server) closeMailbox(s *session.Session) {
	id, st := s.Mailbox(), s.State()
	if id == 0 {
		return
	}
	s.SetMailbox(0)
	srv.setResult(s, nil)   // RFC 5182 §2.1
	srv.setContexts(s, nil) // RFC 5267 §4.3
	srv.boxes.Leave(id, st.View, owner(s))
	st.View = 0
	forgetRun(st)
	st.Flags &^= flagReadWrite | flagRecent
	if st.Proto == stateSelected {
		st.Proto = stateAuthenticated
	}
}

// EventWanted implements session.Protocol.
func (srv *Server) EventWanted(s *session.Session) bool {
	return srv.wantsSelected(s) || srv.wantsOthers(s)
}

// Event implements session.Protocol.
func (srv *Server) Event(ctx context.Context, s *session.Session) {
	if !srv.EventWanted(s) {
		return
	}
	r := srv.request(s, nil)
	r.originate(ctx)
	defer srv.free(r)
	if srv.wantsSelected(s) {
		r.idleUpdate()
	}
	if srv.wantsOthers(s) {
		r.notifyOthersNow()
	}
}

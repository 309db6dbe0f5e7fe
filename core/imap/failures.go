package imap

import (
	"context"
	"log/slog"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// retry counts the calls of a storage that is down.
type retry struct {
	n     int // since there was progress
	max   int
	delay time.Duration
}

func (srv *Server) newRetry() retry {
	return retry{max: srv.cfg.Fetch.Retries, delay: srv.cfg.Fetch.RetryDelay}
}

// again decides what follows a call that failed: nil, after a while, to make it once more, or the error to end with.
func (r *retry) again(ctx context.Context, err error) error {
	if backend.KindOf(err) != backend.KindUnavailable || r.n >= r.max {
		return err
	}
	r.n++
	timer := time.NewTimer(time.Duration(r.n) * r.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// failures collects the messages of a command that could not be read.
type failures struct {
	log      *slog.Logger
	ref      *backend.MailboxRef
	count    int
	first    *backend.Error
	expunged int   // messages that were gone, not part of count
	refused  error // why a message was not sent, of which the client knows all there is to say; the first one
}

func (srv *Server) newFailures(ref *backend.MailboxRef) failures {
	return failures{log: srv.log, ref: ref}
}

// refuse notes what a client is to be told of a message that is sound.
func (f *failures) refuse(err error) {
	if f.refused == nil {
		f.refused = err
	}
}

// maxLogged is how many messages of one command are logged one by one.
const maxLogged = 20

// add notes that a message could not be read, for the administrator with all that is known.
func (f *failures) add(uid uint32, err *backend.Error) {
	if err.Kind == backend.KindExpunged {
		f.expunged++
		return
	}
	f.count++
	if f.first == nil {
		f.first = err
	}
	if f.count <= maxLogged {
		f.log.Error("message could not be read", "user", f.ref.User.Name, "mailbox", f.ref.Name, "uid", uid, "error", err.Error())
	}
}

// outcome returns the error of a command that has done all it could; done says what, as a participle.
func (f *failures) outcome(done string) error {
	switch {
	case f.count > 1:
		return backend.Errorf(f.first.Kind, "%d messages could not be %s, see the server's log.", f.count, done)
	case f.count == 1:
		return &backend.Error{Kind: f.first.Kind, Message: f.first.Message}
	case f.refused != nil:
		return f.refused
	case f.expunged > 0: // RFC 2180 §4.1.2, RFC 5530 §3
		return no("EXPUNGEISSUED", "Some messages were already expunged.")
	}
	return nil
}

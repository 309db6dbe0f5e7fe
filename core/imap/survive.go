package imap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/session"
	"github.com/roostmail/roost/core/tally"
)

// Layout is what the protocol's part of a session, and the tables that it refers to, look like.
const Layout = "imap 9"

var _ session.Survivor = (*Server)(nil)

// Tables returns the tables that sessions refer to. Without Config.Shared there are none.
func (srv *Server) Tables() (list []session.Table) {
	if srv.cfg.Mailboxes.Shared {
		srv.boxes.Tables(func(name string, fd int) { list = append(list, session.Table{Name: name, FD: fd}) })
	}
	return list
}

// Freeze brings the tables up to date, for another process. Nothing of the server may be used afterwards but Close.
func (srv *Server) Freeze() {
	if n := srv.boxes.Freeze(); n > 0 {
		srv.log.Error("mailboxes could not be written down: their sessions end", "mailboxes", n)
	}
}

// Survey implements session.Survivor.
func (srv *Server) Survey(sessions iter.Seq[session.Info]) {
	err := srv.boxes.Inherit(func(yield func(mailbox.Reference) bool) {
		for s := range sessions {
			if !yield(mailbox.Reference{User: s.State.User, Mailbox: s.Mailbox, Version: s.State.View}) {
				return
			}
		}
	})
	if err != nil { // then nobody is known
		srv.log.Error("users and mailboxes of the process before are lost", "error", err)
	}
}

// Survives implements session.Survivor.
func (srv *Server) Survives(s *session.Session) error {
	st, box := s.State(), s.Mailbox()
	var err error
	switch {
	case st.Proto > stateLogout || st.Proto != stateLogout && ((st.Proto == stateSelected) != (box != 0) || (st.Proto == stateNotAuthenticated) != (st.User == 0)):
		err = fmt.Errorf("state %d, user %d, mailbox %d", st.Proto, st.User, box)
	case st.User != 0 && srv.users.Get(st.User) == nil:
		err = fmt.Errorf("there is no user %d", st.User)
	case box != 0 && !srv.boxes.Known(box, st.View):
		err = fmt.Errorf("mailbox %d is not known at version %d", box, st.View)
	}
	if err == nil && !srv.notifySound(s) {
		err = errSavedExtra
	}
	if err != nil {
		srv.boxes.Forget(mailbox.Reference{User: st.User, Mailbox: box, Version: st.View}, owner(s))
		return err
	}
	srv.resumeNotify(s)
	if x, _ := s.Extra().(*extra); x != nil {
		srv.savedBytes.Add(int64(len(x.found)))
	}
	if st.User != 0 && srv.cfg.UserAddressSessions > 0 {
		srv.doors.perAddress.Add(userAddress(s, st.User), tally.Max) // it was admitted before
	}
	return nil
}

// AppendExtra implements session.Survivor: its parts, each with its length.
func (srv *Server) AppendExtra(b []byte, v any) ([]byte, bool) {
	x, ok := v.(*extra)
	if !ok {
		return b, false
	}
	for _, part := range [...]string{x.tag, x.user, string(x.reply), x.notify, string(x.found), x.mechanism, x.sasl, string(x.contexts)} {
		b = append(binary.AppendUvarint(b, uint64(len(part))), part...)
	}
	return b, true
}

var errSavedExtra = errors.New("imap: not a saved extra")

// ParseExtra implements session.Survivor.
func (srv *Server) ParseExtra(b []byte) (any, error) {
	var parts [8]string
	for i := range parts {
		n, k := binary.Uvarint(b)
		if k <= 0 || n > uint64(len(b)-k) {
			return nil, errSavedExtra
		}
		parts[i], b = string(b[k:k+int(n)]), b[k+int(n):]
	}
	if len(b) > 0 {
		return nil, errSavedExtra
	}
	x := &extra{tag: parts[0], user: parts[1], notify: parts[3], mechanism: parts[5], sasl: parts[6]}
	if parts[2] != "" {
		x.reply = []byte(parts[2])
	}
	if parts[4] != "" {
		x.found = []byte(parts[4])
		if _, ok := decodeResult(x.found); !ok {
			return nil, errSavedExtra
		}
	}
	if parts[7] != "" {
		x.contexts = []byte(parts[7])
		if _, ok := decodeContexts(x.contexts); !ok {
			return nil, errSavedExtra
		}
	}
	return x, nil
}

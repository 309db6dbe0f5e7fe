package imap

import (
	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/session"
)

// Description is what an operator wants to know of a session.
type Description struct {
	User    string // "" = not logged in
	Master  string // the master user who has logged in as User, "" = none
	State   string // "not authenticated", "authenticated", "selected", "logout"; with ", idle" in IDLE, and ", read-only" of a login for reading alone
	Mailbox string // "" = none
}

var stateNames = [...]string{stateNotAuthenticated: "not authenticated", stateAuthenticated: "authenticated", stateSelected: "selected", stateLogout: "logout"}

// Describe tells about a session that Engine.Each has shown. It calls no plugin and wakes nothing.
func (srv *Server) Describe(i session.Info) Description {
	d := Description{}
	if int(i.State.Proto) < len(stateNames) {
		d.State = stateNames[i.State.Proto]
	}
	if i.State.Flags&flagIdle != 0 {
		d.State += ", idle"
	}
	if i.State.Flags&flagReader != 0 {
		d.State += ", read-only"
	}
	if i.State.User != 0 {
		if u := srv.users.Get(i.State.User); u != nil {
			d.User, d.Master = u.Name, u.Fields[backend.FieldMaster]
		}
	}
	if i.Mailbox != 0 {
		_, d.Mailbox = srv.boxes.NameOf(i.Mailbox)
	}
	return d
}

// UserName returns the name of a user that a session had a moment ago, "" if it is not known any more.
func (srv *Server) UserName(id uint32) string {
	if u := srv.users.Get(id); u != nil {
		return u.Name
	}
	return ""
}

// IsUser reports whether a user that a session had a moment ago has that name.
func (srv *Server) IsUser(id uint32, name string) bool { return id != 0 && srv.users.Is(id, name) }

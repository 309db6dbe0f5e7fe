package imap

import (
	"sync"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/session"
	"github.com/roostmail/roost/core/tally"
)

// The settings that refuse something, as the operator writes them.
const (
	limitUserSessions        = "[limits] user_sessions"
	limitUserAddressSessions = "[limits] user_address_sessions"
	limitLoginRate           = "[limits] login_rate"
	limitBadCommands         = "[limits] bad_commands"
	limitLoginTimeout        = "[imap] login_timeout"
)

// doors are the limits on logins.
type doors struct {
	mu         sync.Mutex   // held between counting a user's sessions and adding one
	perAddress *tally.Table // sessions by user and address; unused without Config.UserAddressSessions
	attempts   *attempts
	users      *attempts // by the name that clients send: failures alone

	userSessions, userAddress, rate, bad, late session.RefusalCount
}

// Stats are the protocol's figures. Counters count since the start.
type Stats struct {
	Users int // different users that are logged in

	RefusedUserSessions uint64 // logins refused by [limits] user_sessions
	RefusedUserAddress  uint64 // … by [limits] user_address_sessions
	RefusedLoginRate    uint64 // … by [limits] login_rate
	DroppedBad          uint64 // sessions ended by [limits] bad_commands
	DroppedLate         uint64 // … by [imap] login_timeout
	SavedBytes          int64  // of all saved search results
	NotifySessions      int64  // sessions that NOTIFY tells of mailboxes that they have not selected
	NotifyMailboxes     int    // these mailboxes
	NotifyOverflows     uint64 // sessions to which NOTIFY was ended by [limits] notify_user_mailboxes or notify_mailboxes
	RefusedNotify       uint64 // NOTIFY commands refused by [limits] notify_set, notify_user_mailboxes or notify_mailboxes
	RefusedContexts     uint64 // searches that are not kept up to date because of [limits] contexts or context_bytes
	RefusedSaved        uint64 // search results that were not saved because of [limits] saved_result
}

// Stats returns the protocol's figures.
func (srv *Server) Stats() Stats {
	d := &srv.doors
	return Stats{
		Users:               srv.Users(),
		RefusedUserSessions: d.userSessions.Count(),
		RefusedUserAddress:  d.userAddress.Count(),
		RefusedLoginRate:    d.rate.Count(),
		DroppedBad:          d.bad.Count(),
		DroppedLate:         d.late.Count(),
		SavedBytes:          srv.savedBytes.Load(),
		NotifySessions:      srv.hubs.sessions.Load(),
		NotifyMailboxes:     srv.boxes.Followed(),
		NotifyOverflows:     uint64(srv.hubs.overflows.Load()),
		RefusedNotify:       srv.hubs.refusedSet.Count() + srv.hubs.refusedUser.Count() + srv.hubs.refusedAll.Count(),
		RefusedContexts:     srv.contextsRefused.Count(),
		RefusedSaved:        srv.savedRefused.Count(),
	}
}

// mayTry refuses a login of an address that has tried too often in this second, before the auth plugin is asked.
func (srv *Server) mayTry(s *session.Session) error {
	if srv.cfg.LoginRate <= 0 || srv.doors.attempts.begin(session.AddressKey(s.Remote().Addr()), srv.cfg.LoginRate) {
		return nil
	}
	srv.doors.rate.Hit(s, limitLoginRate)
	return no("LIMIT", "Too many logins from this address, try again later ("+limitLoginRate+").")
}

// admit interns a user whose password was right for one more session, unless there are too many. left takes it back.
func (srv *Server) admit(s *session.Session, user *backend.User) (uint32, error) {
	d := &srv.doors
	if srv.cfg.UserSessions > 0 {
		d.mu.Lock()
		defer d.mu.Unlock()
		if srv.users.Sessions(user.Name) >= srv.cfg.UserSessions {
			d.userSessions.Hit(s, limitUserSessions, "user", user.Name)
			return 0, no("LIMIT", "Too many sessions of this user ("+limitUserSessions+").")
		}
	}
	id, err := srv.users.Login(user)
	if err != nil {
		return 0, &backend.Error{Kind: backend.KindUnavailable, Message: "Too many users are logged in.", Cause: err}
	}
	if srv.cfg.UserAddressSessions > 0 && !d.perAddress.Add(userAddress(s, id), srv.cfg.UserAddressSessions) {
		srv.users.Logout(id)
		d.userAddress.Hit(s, limitUserAddressSessions, "user", user.Name)
		return 0, no("LIMIT", "Too many sessions of this user from this address ("+limitUserAddressSessions+").")
	}
	return id, nil
}

// left takes back what admit has counted for the session by address.
func (srv *Server) left(s *session.Session) {
	if id := s.State().User; id != 0 && srv.cfg.UserAddressSessions > 0 {
		srv.doors.perAddress.Done(userAddress(s, id))
	}
}

// userAddress is what a session counts as: a user's number, which is that of the name with its userdb fields, and an address.
func userAddress(s *session.Session, id uint32) tally.Key {
	return tally.Key{Address: session.AddressKey(s.Remote().Addr()), User: id}
}

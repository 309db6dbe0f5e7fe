package session

import (
	"errors"
	"iter"
)

// Survivor is implemented by a Protocol whose sessions can go on in another process. Its tables that records refer to are in shared
// memory too, and found again by it before the engine is made. Of a Protocol that is none, only sessions go on that are
// not logged in, have no mailbox and no protocol extra.
type Survivor interface {
	// Survey is called once, before the first session goes on, with every session that can go on as far as the engine knows: the place to count
	// who refers to what.
	Survey(sessions iter.Seq[Info])
	// Survives is then called for each of them. An error ends the session; Closed is not called for it.
	// Nothing can be written. Extra is what ParseExtra returned.
	Survives(s *Session) error
	// AppendExtra appends what SetExtra was given. false: it can not be moved, and neither can its session.
	AppendExtra(b []byte, extra any) ([]byte, bool)
	// ParseExtra reads what AppendExtra has written. b is the callee's.
	ParseExtra(b []byte) (any, error)
}

// plain is the Survivor of a Protocol that is none.
type plain struct{}

var errNotSurvivor = errors.New("session: the protocol moves no state")

func (plain) Survey(iter.Seq[Info]) {}

func (plain) Survives(s *Session) error {
	if s.State().User != 0 || s.Mailbox() != 0 {
		return errNotSurvivor
	}
	return nil
}

func (plain) AppendExtra(b []byte, _ any) ([]byte, bool) { return b, false }
func (plain) ParseExtra([]byte) (any, error)             { return nil, errNotSurvivor }

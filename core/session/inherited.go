package session

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/core/conn/tls13"
	"github.com/roostmail/roost/core/slab"
)

// Inherited is what another process, which has ended or whose sessions are frozen, has left.
type Inherited struct {
	Sessions, Saved, TLS int           // memfds (Tables), which the engine takes over
	Start                time.Duration // Engine.Start of that process
	MaxSessions          int           // Engine.MaxSessions of that process
	Held                 []Held        // descriptors that the keeper had, which the engine takes over

	// In place of the memfds, where tables are not in any (slab.Table.FD): those of that process, which does not use them any more.
	records *records
	saved   *slab.Blobs
	tls     *slab.Table[tls13.State]
}

// Loss is why an inherited session could not go on.
type Loss int

// Losses.
const (
	LossBusy       Loss = iota // that process was killed while it worked on the session
	LossGeneration             // the record is of another session than the descriptor
	LossChecksum               // the record was changed by somebody else
	LossRecord                 // the record's values make no sense
	LossDescriptor             // there is no descriptor, or it is not of the session's connection
	LossGone                   // the connection has ended meanwhile
	LossExtra                  // half-received input, unsent output or rare state that was not saved, or is damaged
	LossTLS                    // the protection's state does not open
	LossProtocol               // the protocol does not know the user, the mailbox or its version
	losses
)

var lossNames = [losses]string{"busy", "generation", "checksum", "record", "descriptor", "gone", "extra", "tls", "protocol"}

func (l Loss) String() string { return lossNames[l] }

// Losses lists all.
func Losses() []Loss {
	l := make([]Loss, losses)
	for i := range l {
		l[i] = Loss(i)
	}
	return l
}

// lostError is a Loss with its particulars.
type lostError struct {
	Loss
	err error
}

func (l *lostError) Error() string { return fmt.Sprintf("%v: %v", l.Loss, l.err) }

func lost(l Loss, format string, args ...any) error {
	return &lostError{l, fmt.Errorf(format, args...)}
}

// close closes what an engine could not take over.
func (in *Inherited) close() {
	for _, h := range in.Held {
		unix.Close(h.FD)
	}
}

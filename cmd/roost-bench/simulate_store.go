package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
)

// oneMailbox is storage of which every user has an INBOX of three messages, without a watch.
type oneMailbox struct {
	backend.Storage // nothing else is called
	opened          uint64
}

func (*oneMailbox) Info() backend.Info {
	return backend.Info{Kind: backend.KindStorage, Name: "simulated"}
}

// Open answers as storage/mdbox does: a position has 34 bytes, with the mailbox's GUID in it.
func (s *oneMailbox) Open(context.Context, backend.MailboxRef) (*backend.Snapshot, error) {
	s.opened++
	snap := &backend.Snapshot{UIDValidity: 1, UIDNext: 4, FirstRecentUID: 4, HighestModSeq: 4}
	binary.LittleEndian.PutUint64(snap.MailboxID[:], s.opened)
	snap.Messages = backend.Columns{UIDs: []uint32{1, 2, 3}, Flags: make([]uint8, 3), ModSeqs: []uint64{1, 2, 4}}
	snap.Position = append(append([]byte{1}, snap.MailboxID[:]...), make([]byte, 17)...)
	return snap, nil
}

// simulateMailboxes logs n users in, each of which selects a mailbox, which then falls asleep: what core keeps of it stays, until close.
func simulateMailboxes(n int) (close func(), err error) {
	cfg := mailbox.DefaultConfig
	cfg.Warm, cfg.PollInterval = 0, 0 // asleep as soon as it is let go
	r, err := mailbox.NewRegistry(cfg, &oneMailbox{}, func(uint32) {}, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return nil, err
	}
	for i := range n {
		name := fmt.Sprintf("user%08d@example.org", i)
		user := &backend.User{Name: name, Fields: map[string]string{"uid": "5000", "gid": "5000", "home": "/srv/mail/" + name}}
		if _, err := r.Users().Login(user); err != nil {
			r.Close()
			return nil, err
		}
		m, _, err := r.Open(context.Background(), backend.MailboxRef{User: user, Name: "INBOX"})
		if err != nil {
			r.Close()
			return nil, err
		}
		m.Release()
	}
	return r.Close, nil
}

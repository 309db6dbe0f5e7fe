package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"runtime"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/tally"
)

// oneMailbox is storage in which every mailbox has three messages, and a watch.
type oneMailbox struct {
	backend.Storage // nothing else is called
	opened          uint64
}

func (*oneMailbox) Info() backend.Info {
	return backend.Info{Kind: backend.KindStorage, Name: "simulated", Capabilities: []string{backend.CapWatchFD}}
}

// Open answers as storage/mdbox does: a position has 34 bytes, with the mailbox's GUID in it.
func (s *oneMailbox) Open(context.Context, backend.MailboxRef) (*backend.Snapshot, error) {
	s.opened++
	snap := &backend.Snapshot{UIDValidity: 1, UIDNext: 4, FirstRecentUID: 4, HighestModSeq: 4, Watch: int32(s.opened), WatchName: "dovecot.index.log"}
	binary.LittleEndian.PutUint64(snap.MailboxID[:], s.opened)
	snap.Messages = backend.Columns{UIDs: []uint32{1, 2, 3}, Flags: make([]uint8, 3), ModSeqs: []uint64{1, 2, 4}}
	snap.Position = append(append([]byte{1}, snap.MailboxID[:]...), make([]byte, 17)...)
	return snap, nil
}

// WatchFile implements backend.Watcher; nothing happens that it could tell of.
func (*oneMailbox) WatchFile(context.Context) (*os.File, error) { return nil, errors.ErrUnsupported }

// Unwatch implements backend.Watcher.
func (*oneMailbox) Unwatch(context.Context, []int32) error { return nil }

// usersPerDomain and foldersPerUser say how names are spread: 7 of 10 sessions have INBOX selected, the others one of the folders that many users have, or
// one that nobody else has.
const usersPerDomain = 500

var folders = [...]string{"Sent", "Trash"}

func simulatedNames(i int) (user, home, name string) {
	user = fmt.Sprintf("firstname.lastname%d@company%05d.example", i, i/usersPerDomain)
	home = fmt.Sprintf("/srv/mail/company%05d.example/firstname.lastname%d", i/usersPerDomain, i)
	switch d := i % 10; d {
	case 7, 8:
		return user, home, folders[d-7]
	case 9:
		return user, home, fmt.Sprintf("Projects/Customer %d", i)
	}
	return user, home, "INBOX"
}

// simulateMailboxes logs n users in, each of which selects a mailbox, which then falls asleep: what core keeps of it stays, until close. What it
// counts of their addresses is there too.
func simulateMailboxes(n int) (close func(), err error) {
	cfg := mailbox.DefaultConfig
	cfg.Warm, cfg.PollInterval, cfg.Shared = 0, 0, true // asleep as soon as it is let go
	r, err := mailbox.NewRegistry(cfg, &oneMailbox{}, func(uint32) {}, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return nil, err
	}
	addresses := tally.New()
	for i := range n {
		login, home, name := simulatedNames(i)
		user := &backend.User{Name: login, Fields: map[string]string{"uid": "5000", "gid": "5000", "home": home}}
		id, err := r.Users().Login(user)
		if err != nil {
			r.Close()
			return nil, err
		}
		addresses.Add(tally.Key{Address: uint64(i), User: id}, math.MaxInt32)
		m, _, err := r.Open(context.Background(), backend.MailboxRef{User: user, Name: name})
		if err != nil {
			r.Close()
			return nil, err
		}
		m.Release()
	}
	return func() { r.Close(); runtime.KeepAlive(addresses) }, nil
}

//go:build !race

package mailbox_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/mailbox/mailboxtest"
)

// legacy is what a process has left: its tables, and what its sessions refer to.
type legacy struct {
	tables   map[string][]byte
	sessions []mailbox.Reference
	users    []*backend.User
	names    []string
}

// leave makes a process's tables: three users, each with a session at a mailbox of that user's, and a second session of the first, which
// has not been told of the last changes.
func leave(t *testing.T) *legacy {
	store := mailboxtest.New(true)
	r := newRegistry(mailbox.Config{JournalBytes: 1 << 20, Shared: true}, store, func(uint32) {}, discard())
	l := &legacy{tables: map[string][]byte{}}
	open := func(u *backend.User, name string) {
		id, err := r.Users().Login(u)
		if err != nil {
			t.Fatal(err)
		}
		m, v, err := r.Open(context.Background(), backend.MailboxRef{User: u, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		l.sessions = append(l.sessions, mailbox.Reference{User: id, Mailbox: m.ID(), Version: v.Version})
		l.users, l.names = append(l.users, u), append(l.names, name)
		m.Release()
	}
	for i := range 3 {
		// One has its name in a blob.
		u := &backend.User{Name: fmt.Sprintf("user%d.%s@example.org", i, []string{"a", "with-a-name-that-is-long", "b"}[i])}
		u.Fields = map[string]string{"uid": fmt.Sprint(5000 + i), "home": "/srv/mail/" + u.Name}
		name := fmt.Sprintf("Folder %d of some length, more than a cell has", i)
		box := store.Create(u.Name, "", name)
		for range 3 {
			box.Append("Subject: x\r\n\r\n", 0)
		}
		open(u, name)
		if i == 0 {
			box.Expunge(2)
			open(u, name)
		}
	}
	r.Freeze()
	r.Tables(func(name string, fd int) { l.tables[name] = contents(t, fd) })
	return l
}

// contents returns a memfd's first pages, where all that is not zero must be, and its size as capacity.
func contents(t *testing.T, fd int) []byte {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, st.Size)
	if n, err := unix.Pread(fd, b, 0); err != nil || n != len(b) {
		t.Fatal(n, err)
	}
	n := len(b)
	for n > 0 && b[n-1] == 0 {
		n--
	}
	return b[:n]
}

// memfd returns a table with these contents.
func memfd(t *testing.T, b []byte) int {
	fd, err := unix.MemfdCreate("table", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err == nil {
		err = unix.Ftruncate(fd, int64(cap(b)))
	}
	if err == nil {
		_, err = unix.Pwrite(fd, b, 0)
	}
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// inherit returns which sessions can go on, after checking that those see what is theirs.
func (l *legacy) inherit(t *testing.T, what string) (going []bool) {
	cfg := mailbox.Config{JournalBytes: 1 << 20, Shared: true, Tables: map[string]int{}}
	for name, b := range l.tables {
		cfg.Tables[name] = memfd(t, b)
	}
	r, err := mailbox.NewRegistry(cfg, mailboxtest.New(true), func(uint32) {}, discard())
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer r.Close()
	if err := r.Inherit(slices.Values(l.sessions)); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	for i, s := range l.sessions {
		u := r.Users().Get(s.User)
		known := u != nil && r.Known(s.Mailbox, s.Version)
		going = append(going, known)
		if u != nil && (u.Name != l.users[i].Name || !maps.Equal(u.Fields, l.users[i].Fields)) {
			t.Errorf("%s: session %d became %+v", what, i, u)
		}
		if _, name := r.NameOf(s.Mailbox); known && name != l.names[i] {
			t.Errorf("%s: session %d is at %q", what, i, name)
		}
	}
	return going
}

// TestDamagedTables: of the tables that a process has left, each byte is changed in turn. Whatever it is, at most the sessions of one user end, and nobody
// becomes another user or gets another mailbox.
func TestDamagedTables(t *testing.T) {
	l := leave(t)
	if going := l.inherit(t, "undamaged"); slices.Contains(going, false) {
		t.Fatalf("undamaged: %v go on", going)
	}
	const header = 4096
	ended := 0
	for name, b := range l.tables {
		at := header
		for at < len(b) && b[at] == 0 { // slot 0, which is not used
			at++
		}
		for ; at < len(b); at++ {
			b[at] ^= 0x5a
			what := fmt.Sprintf("%s, byte %d", name, at-header)
			lost := map[uint32]bool{}
			for i, going := range l.inherit(t, what) {
				if !going {
					lost[l.sessions[i].User] = true
				}
			}
			if len(lost) > 1 {
				t.Errorf("%s: the sessions of %d users end", what, len(lost))
			}
			ended += len(lost)
			b[at] ^= 0x5a
		}
	}
	if ended < 500 {
		t.Errorf("only %d changes were found out", ended)
	}
}

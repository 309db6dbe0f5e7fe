package plugintest

import (
	"context"
	"fmt"
	"slices"

	"github.com/roostmail/roost/core/backend"
)

// killedCall is a call during which the plugin is killed.
type killedCall struct {
	call func() error
	// state says what has become of it: "" is nothing of it, "done" is all of it, and anything else is what may not be left behind.
	state func(t T) string
	// cancel, if set, is called when the next process is there: the call may be waiting in it for a lock that the dead one has left behind.
	cancel func()
}

const done = "done"

// killedInEachCall kills the plugin in each call that writes, after other calls have gone to and fro 0, 1 or 2 times. One that has succeeded is
// done, and of one that has failed all is there, or nothing. Each time it is another store: a dead process may leave a lock behind for which its successors
// wait a minute, as Dovecot's do.
func killedInEachCall(t T, f StorageFixture) {
	for pause := range 3 {
		for name, begin := range killedCalls {
			s := &writerSuite{connection: f.subject().supervise(t, f.Writable(t)), f: f}
			c := begin(t, s)
			if c.call == nil {
				continue
			}
			idle := s.newBox(t)
			ended := make(chan error, 1)
			go func() { ended <- c.call() }()
			status := func() {
				if _, err := s.storage().Status(t.Context(), s.f.User, s.f.Namespace, []string{idle.ref.Name}, backend.StatusMessages); err != nil {
					t.Errorf("Status: %v", err)
				}
			}
			for range pause {
				status()
			}
			s.restart(t)
			kinds := []backend.ErrorKind{backend.KindUnavailable}
			if c.cancel != nil {
				status() // by the next process
				c.cancel()
				kinds = append(kinds, backend.KindCancelled)
			}
			err, state := <-ended, c.state(t)
			switch {
			case err == nil && state != done:
				t.Errorf("%s has succeeded, and is not done: %q", name, state)
			case err != nil:
				wantKind(t, name+" of a plugin that was killed", err, kinds...)
				if state != "" && state != done {
					t.Errorf("%s has failed, and has left %q", name, state)
				}
			}
		}
	}
}

// killedCalls begin the calls that write, each about mailboxes of its own. One that the plugin does not have is empty.
var killedCalls = map[string]func(t T, s *writerSuite) killedCall{
	"Copy":                             func(t T, s *writerSuite) killedCall { return s.killedCopy(t, false) },
	"Copy with move":                   func(t T, s *writerSuite) killedCall { return s.killedCopy(t, true) },
	"Store":                            func(t T, s *writerSuite) killedCall { return s.killedStore(t) },
	"Expunge":                          func(t T, s *writerSuite) killedCall { return s.killedExpunge(t) },
	"CreateMailbox":                    func(t T, s *writerSuite) killedCall { return s.killedCreate(t) },
	"RenameMailbox":                    func(t T, s *writerSuite) killedCall { return s.killedRename(t) },
	"DeleteMailbox":                    func(t T, s *writerSuite) killedCall { return s.killedDelete(t) },
	"Subscribe":                        func(t T, s *writerSuite) killedCall { return s.killedSubscribe(t) },
	"Append in the place of a message": func(t T, s *writerSuite) killedCall { return s.killedReplace(t) },
	"SetACL":                           func(t T, s *writerSuite) killedCall { return s.killedSetACL(t) },
	"SetMetadata":                      func(t T, s *writerSuite) killedCall { return s.killedSetMetadata(t) },
}

// stateOf is a state for killedCall: done, or nothing if it is as before.
func stateOf(now, before string, isDone bool) string {
	switch {
	case isDone:
		return done
	case now == before:
		return ""
	}
	return now
}

func (s *writerSuite) killedCopy(t T, move bool) killedCall {
	from, to := s.newBox(t, "one", "two"), s.newBox(t)
	return killedCall{call: func() error {
		_, err := s.writer().Copy(t.Context(), &backend.CopyRequest{Mailbox: from.ref, UIDs: from.uids(), Destination: to.ref, Move: move})
		return err
	}, state: func(t T) string {
		source, copies := len(from.open(t).Messages.UIDs), len(to.open(t).Messages.UIDs)
		switch {
		case copies == 2 && (source == 0 || !move):
			return done
		case copies == 0 && source == 2, copies == 2 && move: // both may be left (RFC 6851 §4.4)
			return ""
		}
		return fmt.Sprintf("%d of 2 messages in the source, %d copies", source, copies)
	}}
}

func (s *writerSuite) killedStore(t T) killedCall {
	b := s.newBox(t, "one", "two")
	return killedCall{call: func() error {
		_, err := s.writer().Store(t.Context(), &backend.StoreRequest{Mailbox: b.ref, UIDs: b.uids(), Mode: backend.StoreAdd, Flags: backend.FlagFlagged, UnchangedSince: backend.AnyModSeq})
		return err
	}, state: func(t T) string {
		flags := fmt.Sprint(b.open(t).Messages.Flags)
		return stateOf(flags, "[0 0]", flags == fmt.Sprint([]uint8{backend.FlagFlagged, backend.FlagFlagged}))
	}}
}

func (s *writerSuite) killedExpunge(t T) killedCall {
	b := s.newBox(t, "one", "two", "three")
	return killedCall{call: func() error {
		_, err := s.writer().Expunge(t.Context(), &backend.ExpungeRequest{Mailbox: b.ref, UIDs: b.uids()[:2]})
		return err
	}, state: func(t T) string {
		uids := b.open(t).Messages.UIDs
		return stateOf(fmt.Sprint(uids), fmt.Sprint(b.uids()), slices.Equal(uids, b.uids()[2:]))
	}}
}

func (s *writerSuite) killedReplace(t T) killedCall {
	if !s.plugin.Info().Has(backend.CapReplace) {
		return killedCall{}
	}
	b := s.newBox(t, "old")
	old := b.uids()
	return killedCall{call: func() error {
		_, err := b.replace(t, b.snap.MailboxID, old[0], mail("new", 100))
		return err
	}, state: func(t T) string {
		now := b.open(t).Messages.UIDs
		return stateOf(fmt.Sprint(now), fmt.Sprint(old), len(now) == 1 && now[0] > old[0])
	}}
}

// isMailbox reports whether a name is that of a mailbox.
func (s *writerSuite) isMailbox(t T, name string) bool {
	m := s.listed(t, name)
	return m != nil && !m.NoSelect && !m.NonExistent
}

func (s *writerSuite) killedCreate(t T) killedCall {
	ref := s.ref(s.name())
	return killedCall{call: func() error { return s.writer().CreateMailbox(t.Context(), ref) }, state: func(t T) string {
		return stateOf("", "", s.isMailbox(t, ref.Name))
	}}
}

func (s *writerSuite) killedRename(t T) killedCall {
	b, name := s.newBox(t, "kept"), s.name()
	return killedCall{call: func() error { return s.writer().RenameMailbox(t.Context(), b.ref, name) }, state: func(t T) string {
		before, after := s.isMailbox(t, b.ref.Name), s.isMailbox(t, name)
		if before == after {
			return fmt.Sprintf("the old name is that of a mailbox: %v, the new one: %v", before, after)
		}
		return stateOf("", "", after)
	}}
}

func (s *writerSuite) killedDelete(t T) killedCall {
	b := s.newBox(t, "lost")
	return killedCall{call: func() error { return s.writer().DeleteMailbox(t.Context(), b.ref) }, state: func(t T) string {
		return stateOf("", "", !s.isMailbox(t, b.ref.Name))
	}}
}

func (s *writerSuite) killedSubscribe(t T) killedCall {
	b := s.newBox(t)
	return killedCall{call: func() error { return s.writer().Subscribe(t.Context(), b.ref, true) }, state: func(t T) string {
		m := s.listed(t, b.ref.Name)
		return stateOf("", "", m != nil && m.Subscribed)
	}}
}

func (s *writerSuite) killedSetACL(t T) killedCall {
	a, ok := s.plugin.(backend.ACL)
	if !ok || !s.plugin.Info().Has(backend.CapACL) {
		return killedCall{}
	}
	b := s.newBox(t)
	entry := backend.ACLEntry{Identifier: "bob", Rights: backend.RightLookup | backend.RightRead}
	return killedCall{call: func() error {
		return a.SetACL(t.Context(), b.ref, backend.ACLChange{ACLEntry: entry, Mode: backend.StoreReplace})
	}, state: func(t T) string {
		list, err := a.GetACL(t.Context(), b.ref)
		if err != nil {
			return err.Error()
		}
		i := slices.IndexFunc(list, func(e backend.ACLEntry) bool { return e.Identifier == entry.Identifier })
		if i < 0 {
			return ""
		}
		return stateOf(fmt.Sprint(list[i]), "", list[i] == entry)
	}}
}

func (s *writerSuite) killedSetMetadata(t T) killedCall {
	m, ok := s.plugin.(backend.Metadata)
	if !ok || !s.plugin.Info().Has(backend.CapMetadata) {
		return killedCall{}
	}
	b := s.newBox(t)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return killedCall{call: func() error {
		return m.SetMetadata(ctx, b.ref, []backend.MetadataEntry{{Name: "/private/a", Value: []byte("1")}, {Name: "/shared/b", Value: []byte("2")}})
	}, cancel: cancel, state: func(t T) string {
		got := s.entries(t, m, b.ref.Name, backend.MetadataQuery{Entries: []string{"/private/a", "/shared/b"}})
		return stateOf(fmt.Sprint(got), "[]", len(got) == 2)
	}}
}

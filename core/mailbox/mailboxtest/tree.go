package mailboxtest

import (
	"context"
	"strings"

	"github.com/roostmail/roost/core/backend"
)

func keyOf(m backend.MailboxRef) boxKey { return boxKey{m.User.Name, m.Namespace, m.Name} }

// below returns the part of a key's name under another name; ok is false if there is none.
func (k boxKey) below(top boxKey) (rest string, ok bool) {
	if k.user != top.user || k.namespace != top.namespace {
		return "", false
	}
	return strings.CutPrefix(k.name, top.name+"/")
}

// hasChildren reports whether a mailbox or parent is below a name.
func (s *Store) hasChildren(top boxKey) bool {
	for k := range s.mailboxes {
		if _, ok := k.below(top); ok {
			return true
		}
	}
	for k, info := range s.parents {
		if _, ok := k.below(top); ok && info.NoSelect {
			return true
		}
	}
	return false
}

// exists reports whether a name is that of a mailbox or a parent.
func (s *Store) exists(k boxKey) bool { return s.mailboxes[k] != nil || s.parents[k].NoSelect }

// makeParents makes the names above k that do not exist.
func (s *Store) makeParents(k boxKey) {
	for i := range k.name {
		if up := (boxKey{k.user, k.namespace, k.name[:i]}); k.name[i] == '/' && !s.exists(up) {
			s.parents[up] = backend.MailboxInfo{Name: up.name, NoSelect: true, Subscribed: s.parents[up].Subscribed}
		}
	}
}

// gone makes k a name of nothing, but perhaps of a parent.
func (s *Store) gone(k boxKey, parent bool) {
	info := backend.MailboxInfo{Name: k.name, NoSelect: parent, Subscribed: s.parents[k].Subscribed}
	info.NonExistent = !parent
	if delete(s.parents, k); parent || info.Subscribed {
		s.parents[k] = info
	}
}

// touch tells the watch of a mailbox that its directory was removed or renamed.
func (s *Store) touch(m *Mailbox) {
	if s.watches {
		s.events = append(s.events, Event{Watch: int32(m.id)})
	}
}

// CreateMailbox implements backend.Writer. A name with a control character can not be had.
func (s *Store) CreateMailbox(_ context.Context, ref backend.MailboxRef) error {
	return s.write("CreateMailbox", func() error {
		k := keyOf(ref)
		if s.mailboxes[k] != nil {
			return backend.Errorf(backend.KindAlreadyExists, "")
		}
		if err := s.possible(k); err != nil {
			return err
		}
		s.create(k)
		s.gone(k, false)
		s.makeParents(k)
		return nil
	})
}

// possible checks that a new mailbox can have a name.
func (s *Store) possible(k boxKey) error {
	if strings.ContainsFunc(k.name, func(r rune) bool { return r < ' ' }) || len(k.name) > 1000 {
		return backend.Errorf(backend.KindInvalidArgument, "")
	}
	for i := range k.name {
		if k.name[i] == '/' && s.parents[boxKey{k.user, k.namespace, k.name[:i]}].NoInferiors {
			return backend.Errorf(backend.KindInvalidArgument, "A parent can not have children.")
		}
	}
	return nil
}

// DeleteMailbox implements backend.Writer.
func (s *Store) DeleteMailbox(_ context.Context, ref backend.MailboxRef) error {
	return s.write("DeleteMailbox", func() error {
		k := keyOf(ref)
		children := s.hasChildren(k)
		switch {
		case k.name == "INBOX":
			return backend.Errorf(backend.KindInvalidArgument, "INBOX can't be deleted.")
		case !s.exists(k):
			return backend.Errorf(backend.KindNotFound, "Mailbox doesn't exist: %s", k.name)
		case s.mailboxes[k] == nil && children:
			return backend.Errorf(backend.KindInvalidArgument, "Mailbox has children, delete them first")
		}
		if m := s.mailboxes[k]; m != nil {
			s.touch(m)
			delete(s.mailboxes, k)
		}
		s.gone(k, children)
		return nil
	})
}

// RenameMailbox implements backend.Writer.
func (s *Store) RenameMailbox(_ context.Context, ref backend.MailboxRef, newName string) error {
	return s.write("RenameMailbox", func() error {
		old := keyOf(ref)
		to := boxKey{old.user, old.namespace, newName}
		_, inside := to.below(old)
		switch {
		case !s.exists(old):
			return backend.Errorf(backend.KindNotFound, "Mailbox doesn't exist: %s", old.name)
		case s.exists(to):
			return backend.Errorf(backend.KindAlreadyExists, "")
		case inside && old.name != "INBOX":
			return backend.Errorf(backend.KindInvalidArgument, "Can't rename a mailbox below itself.")
		}
		if err := s.possible(to); err != nil {
			return err
		}
		if old.name == "INBOX" {
			s.renameInbox(s.mailboxes[old], to)
		} else {
			s.moveTree(old, to)
		}
		s.makeParents(to)
		return nil
	})
}

// renameInbox moves the messages of INBOX to a new mailbox (RFC 3501 §6.3.5).
func (s *Store) renameInbox(inbox *Mailbox, to boxKey) {
	m := s.create(to)
	s.gone(to, false)
	for _, msg := range inbox.messages {
		c := *msg
		c.kw = m.bits(inbox.names(msg.kw))
		m.add(c)
	}
	inbox.remove(uids(inbox.messages))
}

// moveTree gives a name and all below it new names. Subscriptions stay.
func (s *Store) moveTree(old, to boxKey) {
	mailboxes, parents := map[boxKey]*Mailbox{}, map[boxKey]bool{}
	renamed := func(k boxKey) (boxKey, bool) {
		if k == old {
			return to, true
		}
		rest, ok := k.below(old)
		return boxKey{to.user, to.namespace, to.name + "/" + rest}, ok
	}
	for k, m := range s.mailboxes {
		if n, ok := renamed(k); ok {
			s.touch(m)
			mailboxes[n] = m
			delete(s.mailboxes, k)
			s.gone(k, false)
		}
	}
	for k, info := range s.parents {
		if n, ok := renamed(k); ok && info.NoSelect {
			parents[n] = true
			s.gone(k, false)
		}
	}
	for k, m := range mailboxes {
		s.mailboxes[k] = m
		s.gone(k, false)
	}
	for k := range parents {
		s.gone(k, true)
	}
}

// Subscribe implements backend.Writer.
func (s *Store) Subscribe(_ context.Context, ref backend.MailboxRef, subscribed bool) error {
	return s.write("Subscribe", func() error {
		k := keyOf(ref)
		info := s.parents[k]
		info.Name, info.Subscribed = k.name, subscribed
		info.NonExistent = !s.exists(k)
		if delete(s.parents, k); subscribed || info.NoSelect {
			s.parents[k] = info
		}
		return nil
	})
}

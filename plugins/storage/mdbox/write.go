package mdbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/acl"
)

var _ backend.Writer = (*Storage)(nil)

// writable is usable, and whether the storage may be changed.
func (s *Storage) writable(ctx context.Context) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if s.stores.write == nil {
		return backend.Errorf(backend.KindReadOnly, "Mail storage is read-only")
	}
	return nil
}

// changing returns the mailbox that ref names, to be changed, until release is called. Errors are *backend.Error.
func (s *Storage) changing(ctx context.Context, ref backend.MailboxRef) (m *openMailbox, p place, release func(), err error) {
	if err := s.writable(ctx); err != nil {
		return nil, p, nil, err
	}
	return s.mailbox(ctx, ref)
}

// changed returns what happened in a mailbox since a position, for the caller of a change; nil if it did not ask, or can not be told.
func (s *Storage) changed(ctx context.Context, ref backend.MailboxRef, since []byte) *backend.Changes {
	if len(since) == 0 {
		return nil
	}
	c, err := s.Changes(ctx, ref, since)
	if err != nil {
		s.log.DebugContext(ctx, "a change was made, but not what it changed could be told", "mailbox", ref.Name, "err", err)
		return nil
	}
	return c
}

// Append implements backend.Writer.
func (s *Storage) Append(ctx context.Context, r *backend.AppendRequest) (*backend.AppendResult, error) {
	if len(r.Messages) == 0 {
		return nil, backend.Errorf(backend.KindInvalidArgument, "no message to save")
	}
	noFlags, noKeywords, err := s.allowInsert(r.Mailbox)
	if err != nil {
		return nil, err
	}
	m, p, release, err := s.changing(ctx, r.Mailbox)
	if err != nil {
		return nil, err
	}
	defer release()
	messages, bodies := make([]mdbox.NewMessage, len(r.Messages)), make([]exactBody, len(r.Messages))
	size := uint64(0)
	for i, n := range r.Messages {
		if n.Size > uint64(s.settings.maxMessage) {
			return nil, backend.Errorf(backend.KindLimit, "Message exceeds the limit max_message_size")
		}
		size += n.Size
		bodies[i] = exactBody{n: i + 1, r: n.Body, left: n.Size}
		if noKeywords {
			n.Keywords = nil
		}
		messages[i] = mdbox.NewMessage{Flags: n.Flags &^ noFlags, Keywords: n.Keywords, Received: n.InternalDate, Size: n.Size, Body: &bodies[i]}
	}
	if r.Replaces != nil {
		return s.replace(ctx, r, m, p, messages[0], &bodies[0])
	}
	if err := s.checkQuota(ctx, r.Mailbox, size, len(messages)); err != nil {
		return nil, err
	}
	defer s.stores.useFiles(p, m.store)()
	save := m.Append
	if r.Claim && len(r.Since) > 0 && s.allow(r.Mailbox, acl.Read) == nil {
		save = m.AppendClaiming
	}
	saved, err := save(ctx, messages)
	if err != nil {
		for _, b := range bodies {
			if b.err != nil {
				return nil, b.err
			}
		}
		return nil, s.failed(p, m, err)
	}
	return &backend.AppendResult{UIDValidity: saved.UIDValidity, UIDs: saved.UIDs, Changed: s.changed(ctx, r.Mailbox, r.Since),
		ClaimedFirst: saved.ClaimedFirst, ClaimedNext: saved.ClaimedNext}, nil
}

// allowInsert refuses who may not add messages to a mailbox. It returns the flags that they may not have (RFC 4314 §4).
func (s *Storage) allowInsert(ref backend.MailboxRef) (noFlags uint8, noKeywords bool, err error) {
	if s.settings.acl == nil || ref.User == nil {
		return 0, false, nil
	}
	has, err := s.rights(ref.User, ref.Namespace, ref.Name)
	if err == nil {
		err = permit(has, acl.Insert)
	}
	noFlags, noKeywords = protected(has)
	return noFlags, noKeywords, err
}

// exactBody reads a body to its size: the library reads to the end, where the client's next command may be.
type exactBody struct {
	n    int // number of the message
	r    io.Reader
	left uint64
	err  error // of the body, which is the caller's
}

// Read implements io.Reader.
func (b *exactBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, cmp.Or(b.err, io.EOF)
	}
	k, err := b.r.Read(p[:min(uint64(len(p)), b.left)])
	b.left -= uint64(k)
	switch {
	case err == io.EOF && b.left > 0:
		err = backend.Errorf(backend.KindInvalidArgument, "message %d ends %d bytes before its size", b.n, b.left)
	case err == io.EOF:
		return k, nil // the next call says so
	}
	b.err = err
	return k, err
}

// modes are the library's words for those of backend.
var modes = map[backend.StoreMode]mdbox.FlagMode{
	backend.StoreReplace: mdbox.ReplaceFlags, backend.StoreAdd: mdbox.AddFlags, backend.StoreRemove: mdbox.RemoveFlags,
}

// Store implements backend.Writer.
func (s *Storage) Store(ctx context.Context, r *backend.StoreRequest) (*backend.StoreResult, error) {
	mode, ok := modes[r.Mode]
	if !ok {
		return nil, backend.Errorf(backend.KindInvalidArgument, "unknown mode %d", r.Mode)
	}
	has, err := s.allowStore(r)
	if err != nil {
		return nil, err
	}
	m, p, release, err := s.changing(ctx, r.Mailbox)
	if err != nil {
		return nil, err
	}
	defer release()
	change := mdbox.FlagChange{
		Mailbox: r.MailboxID, UIDs: r.UIDs, Mode: mode, Flags: r.Flags, Keywords: r.Keywords, UnchangedSince: r.UnchangedSince,
	}
	change.Protected.Flags, change.Protected.Keywords = protected(has)
	if change.Protected.Keywords {
		change.Keywords = nil
	}
	modified, err := m.ChangeFlags(ctx, change)
	if err != nil {
		return nil, s.failed(p, m, err)
	}
	return &backend.StoreResult{Modified: modified, Changed: s.changed(ctx, r.Mailbox, r.Since)}, nil
}

// allowStore returns the rights of who wants to change flags, unless he may change none of them (RFC 4314 §4: STORE).
func (s *Storage) allowStore(r *backend.StoreRequest) (acl.Rights, error) {
	if s.settings.acl == nil || r.Mailbox.User == nil {
		return acl.All, nil
	}
	has, err := s.rights(r.Mailbox.User, r.Mailbox.Namespace, r.Mailbox.Name)
	if err != nil {
		return 0, err
	}
	wanted := acl.Rights(0)
	if r.Flags&backend.FlagSeen != 0 {
		wanted |= acl.WriteSeen
	}
	if r.Flags&backend.FlagDeleted != 0 {
		wanted |= acl.WriteDeleted
	}
	if r.Flags&^(backend.FlagSeen|backend.FlagDeleted) != 0 || len(r.Keywords) > 0 {
		wanted |= acl.Write
	}
	if r.Mode == backend.StoreReplace {
		wanted = acl.WriteSeen | acl.WriteDeleted | acl.Write
	}
	if wanted == 0 { // nothing is changed
		wanted = acl.Read
	}
	return has, permit(has, wanted)
}

// allowCopy refuses who may not copy or move messages. It returns the flags that copies may not have.
func (s *Storage) allowCopy(r *backend.CopyRequest) (noFlags uint8, noKeywords bool, err error) {
	if s.settings.acl == nil {
		return 0, false, nil
	}
	if err := s.allow(r.Mailbox, acl.Read); err != nil {
		return 0, false, err
	}
	if r.Move { // RFC 6851 §4.2: as COPY, STORE +FLAGS (\Deleted) and EXPUNGE
		for _, right := range []acl.Rights{acl.WriteDeleted, acl.Expunge} {
			if err := s.allow(r.Mailbox, right); err != nil {
				return 0, false, err
			}
		}
	}
	noFlags, noKeywords, err = s.allowInsert(r.Destination)
	if err != nil {
		err = destination(err)
	}
	return noFlags, noKeywords, err
}

// Copy implements backend.Writer.
func (s *Storage) Copy(ctx context.Context, r *backend.CopyRequest) (*backend.CopyResult, error) {
	noFlags, noKeywords, err := s.allowCopy(r)
	if err != nil {
		return nil, err
	}
	m, p, release, err := s.changing(ctx, r.Mailbox)
	if err != nil {
		return nil, err
	}
	defer release()
	to, toPlace, releaseTo, err := s.changing(ctx, r.Destination)
	if err != nil {
		return nil, destination(err)
	}
	defer releaseTo()
	if err := s.checkCopy(ctx, m, r); err != nil {
		return nil, toBackend(err)
	}
	defer s.stores.useFiles(p, m.store)()
	copied, err := m.Copy(ctx, mdbox.CopyRequest{Mailbox: r.MailboxID, UIDs: r.UIDs, To: to.Mailbox, Move: r.Move,
		Without: mdbox.Protected{Flags: noFlags, Keywords: noKeywords}})
	if errors.Is(err, mdbox.ErrDestination) {
		return nil, destination(s.failed(toPlace, to, err))
	}
	if err != nil {
		return nil, s.failed(p, m, err)
	}
	if copied.UIDValidity == 0 { // nothing was there to copy
		if snap, err := to.Snapshot(); err == nil {
			copied.UIDValidity = snap.UIDValidity
		}
	}
	if r.Move && len(copied.Source) > 0 && toPlace.location != p.location {
		s.purger.expunged(p)
	}
	return &backend.CopyResult{UIDValidity: copied.UIDValidity, Source: copied.Source, UIDs: copied.UIDs, Changed: s.changed(ctx, r.Mailbox, r.Since)}, nil
}

// destination makes an error that says that not the source of a copy, but its destination is missing.
func destination(err error) error {
	if e := toBackend(err); e.Kind == backend.KindNotFound {
		return &backend.Error{Kind: backend.KindNotFound, Message: "destination", Detail: e.Detail, Cause: e}
	}
	return err
}

// Expunge implements backend.Writer.
func (s *Storage) Expunge(ctx context.Context, r *backend.ExpungeRequest) (*backend.ExpungeResult, error) {
	if err := s.allow(r.Mailbox, acl.Expunge); err != nil {
		return nil, err
	}
	m, p, release, err := s.changing(ctx, r.Mailbox)
	if err != nil {
		return nil, err
	}
	defer release()
	expunged, err := m.Expunge(ctx, r.MailboxID, r.UIDs, r.OnlyDeleted)
	if err != nil {
		return nil, s.failed(p, m, err)
	}
	if len(expunged) > 0 {
		s.purger.expunged(p)
	}
	return &backend.ExpungeResult{Expunged: expunged, Changed: s.changed(ctx, r.Mailbox, r.Since)}, nil
}

// ClaimRecent implements backend.Writer.
func (s *Storage) ClaimRecent(ctx context.Context, ref backend.MailboxRef, id [16]byte, since []byte) (*backend.ClaimResult, error) {
	if err := s.allow(ref, acl.Read); err != nil {
		return nil, err
	}
	m, p, release, err := s.changing(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer release()
	first, next, err := m.ClaimRecent(ctx, id)
	if err != nil {
		return nil, s.failed(p, m, err)
	}
	return &backend.ClaimResult{First: first, Next: next, Changed: s.changed(ctx, ref, since)}, nil
}

// changeTree runs change with the store of a namespace.
func (s *Storage) changeTree(ctx context.Context, u *backend.User, namespace string, change func(store *mdbox.Store, p place) error) error {
	if err := s.writable(ctx); err != nil {
		return err
	}
	_, p, err := s.locate(u, namespace)
	if err != nil {
		return err
	}
	store, release, err := s.stores.store(p)
	if err != nil {
		return toBackend(err)
	}
	defer release()
	if err := change(store, p); err != nil {
		return toBackend(err)
	}
	return nil
}

// CreateMailbox implements backend.Writer.
func (s *Storage) CreateMailbox(ctx context.Context, m backend.MailboxRef) error {
	return s.changeTree(ctx, m.User, m.Namespace, func(store *mdbox.Store, _ place) error {
		if err := s.allowNew(m); err != nil {
			return err
		}
		if err := store.CreateMailbox(ctx, m.Name); err != nil {
			return err
		}
		return s.inherit(ctx, store, m.Name)
	})
}

// DeleteMailbox implements backend.Writer.
func (s *Storage) DeleteMailbox(ctx context.Context, m backend.MailboxRef) error {
	return s.changeTree(ctx, m.User, m.Namespace, func(store *mdbox.Store, p place) error {
		if err := s.allow(m, acl.Delete); err != nil {
			return err
		}
		err := store.DeleteMailbox(ctx, m.Name)
		s.purger.expunged(p)
		s.stores.mailboxes.forget(mailboxKey{p, m.Name})
		return err
	})
}

// RenameMailbox implements backend.Writer.
func (s *Storage) RenameMailbox(ctx context.Context, m backend.MailboxRef, newName string) error {
	return s.changeTree(ctx, m.User, m.Namespace, func(store *mdbox.Store, p place) error {
		err := s.allow(m, acl.Delete)
		if err == nil {
			err = s.allowNew(backend.MailboxRef{User: m.User, Namespace: m.Namespace, Name: newName})
		}
		if err != nil {
			return err
		}
		err = store.RenameMailbox(ctx, m.Name, newName)
		for _, name := range []string{m.Name, newName} { // those below are found to be gone when they are used
			s.stores.mailboxes.forget(mailboxKey{p, name})
		}
		return err
	})
}

// Subscribe implements backend.Writer.
func (s *Storage) Subscribe(ctx context.Context, m backend.MailboxRef, subscribed bool) error {
	ns := s.namespaces[m.Namespace]
	if ns != nil && !ns.Subscriptions {
		return backend.Errorf(backend.KindInvalidArgument, "%s", fmt.Sprintf("The namespace %q has no subscriptions of its own", ns.Prefix))
	}
	return s.changeTree(ctx, m.User, m.Namespace, func(store *mdbox.Store, _ place) error { return store.Subscribe(ctx, m.Name, subscribed) })
}

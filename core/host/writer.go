package host

import (
	"context"

	"github.com/roostmail/roost/core/backend"
)

// write is call for a call of backend.Writer. It is repeated only if it certainly did not reach the plugin: of one
// whose process died in mid-call (KindUnavailable, with pluginrpc.ErrGone as cause) it is not known whether it was done.
func (s storage) write(ctx context.Context, do func(backend.Writer) error) error {
	if s.p.readOnly {
		return backend.Errorf(backend.KindReadOnly, "the mail storage is read-only")
	}
	return s.p.call(ctx, onceCalled, func(p backend.Plugin) error {
		w, ok := p.(backend.Writer)
		if !ok || !p.Info().Has(backend.CapWrite) {
			return backend.Errorf(backend.KindUnsupported, "the mail storage can not be written")
		}
		return do(w)
	})
}

// Append implements backend.Writer.
func (s storage) Append(ctx context.Context, r *backend.AppendRequest) (res *backend.AppendResult, err error) {
	err = s.write(ctx, func(w backend.Writer) (err error) {
		res, err = w.Append(ctx, r)
		return err
	})
	return res, err
}

// Store implements backend.Writer.
func (s storage) Store(ctx context.Context, r *backend.StoreRequest) (res *backend.StoreResult, err error) {
	err = s.write(ctx, func(w backend.Writer) (err error) {
		res, err = w.Store(ctx, r)
		return err
	})
	return res, err
}

// Copy implements backend.Writer.
func (s storage) Copy(ctx context.Context, r *backend.CopyRequest) (res *backend.CopyResult, err error) {
	err = s.write(ctx, func(w backend.Writer) (err error) {
		res, err = w.Copy(ctx, r)
		return err
	})
	return res, err
}

// Expunge implements backend.Writer.
func (s storage) Expunge(ctx context.Context, r *backend.ExpungeRequest) (res *backend.ExpungeResult, err error) {
	err = s.write(ctx, func(w backend.Writer) (err error) {
		res, err = w.Expunge(ctx, r)
		return err
	})
	return res, err
}

// ClaimRecent implements backend.Writer.
func (s storage) ClaimRecent(ctx context.Context, m backend.MailboxRef, id [16]byte, since []byte) (res *backend.ClaimResult, err error) {
	err = s.write(ctx, func(w backend.Writer) (err error) {
		res, err = w.ClaimRecent(ctx, m, id, since)
		return err
	})
	return res, err
}

// CreateMailbox implements backend.Writer.
func (s storage) CreateMailbox(ctx context.Context, m backend.MailboxRef) error {
	return s.write(ctx, func(w backend.Writer) error { return w.CreateMailbox(ctx, m) })
}

// DeleteMailbox implements backend.Writer.
func (s storage) DeleteMailbox(ctx context.Context, m backend.MailboxRef) error {
	return s.write(ctx, func(w backend.Writer) error { return w.DeleteMailbox(ctx, m) })
}

// RenameMailbox implements backend.Writer.
func (s storage) RenameMailbox(ctx context.Context, m backend.MailboxRef, newName string) error {
	return s.write(ctx, func(w backend.Writer) error { return w.RenameMailbox(ctx, m, newName) })
}

// Subscribe implements backend.Writer.
func (s storage) Subscribe(ctx context.Context, m backend.MailboxRef, subscribed bool) error {
	return s.write(ctx, func(w backend.Writer) error { return w.Subscribe(ctx, m, subscribed) })
}

var _ backend.Writer = storage{}

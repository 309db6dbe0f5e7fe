package host

import (
	"context"
	"os"

	"github.com/roostmail/roost/core/backend"
)

// Storage returns the plugin as backend.Storage, nil if it is of another kind. The
// value also implements backend.Watcher, backend.Writer and backend.ModSeqs; without CapWatchFD, CapWrite and CapModSeqs their methods fail with KindUnsupported.
func (p *Plugin) Storage() backend.Storage {
	if p.kind != backend.KindStorage {
		return nil
	}
	return storage{base{p}}
}

type storage struct{ base }

// ListMailboxes implements backend.Storage.
func (s storage) ListMailboxes(ctx context.Context, u *backend.User, namespace string) (list []backend.MailboxInfo, err error) {
	err = s.p.call(ctx, twice, func(p backend.Plugin) (err error) {
		list, err = p.(backend.Storage).ListMailboxes(ctx, u, namespace)
		return err
	})
	return list, err
}

// Status implements backend.Storage.
func (s storage) Status(ctx context.Context, u *backend.User, namespace string, names []string, items backend.StatusItems) (list []backend.MailboxStatus, err error) {
	err = s.p.call(ctx, twice, func(p backend.Plugin) (err error) {
		list, err = p.(backend.Storage).Status(ctx, u, namespace, names, items)
		return err
	})
	return list, err
}

// Open implements backend.Storage.
func (s storage) Open(ctx context.Context, m backend.MailboxRef) (snap *backend.Snapshot, err error) {
	err = s.p.call(ctx, twice, func(p backend.Plugin) (err error) {
		snap, err = p.(backend.Storage).Open(ctx, m)
		return err
	})
	return snap, err
}

// Changes implements backend.Storage.
func (s storage) Changes(ctx context.Context, m backend.MailboxRef, since []byte) (c *backend.Changes, err error) {
	err = s.p.call(ctx, twice, func(p backend.Plugin) (err error) {
		c, err = p.(backend.Storage).Changes(ctx, m, since)
		return err
	})
	return c, err
}

// Fetch implements backend.Storage. When the plugin dies meanwhile, it fails
// with KindUnavailable, and the next Fetch goes to the new process: what the sink has got stays
// valid, but the last message may lack a part of its body.
func (s storage) Fetch(ctx context.Context, r *backend.FetchRequest, sink backend.FetchSink) error {
	return s.p.call(ctx, once, func(p backend.Plugin) error { return p.(backend.Storage).Fetch(ctx, r, sink) })
}

// WatchFile implements backend.Watcher. The file is that of the current process;
// OnRestart tells when another one must be asked for.
func (s storage) WatchFile(ctx context.Context) (f *os.File, err error) {
	err = s.p.call(ctx, twice, func(p backend.Plugin) (err error) {
		w, ok := p.(backend.Watcher)
		if !ok || !p.Info().Has(backend.CapWatchFD) {
			return backend.Errorf(backend.KindUnsupported, "no watches")
		}
		f, err = w.WatchFile(ctx)
		return err
	})
	return f, err
}

// Unwatch implements backend.Watcher. It may reach a newer process than the one the
// ids are of, and remove watches of the same numbers there: the reader of WatchFile then sees
// IN_IGNORED for them, as for any watch that ends.
func (s storage) Unwatch(ctx context.Context, watches []int32) error {
	return s.p.call(ctx, once, func(p backend.Plugin) error {
		w, ok := p.(backend.Watcher)
		if !ok || !p.Info().Has(backend.CapWatchFD) {
			return backend.Errorf(backend.KindUnsupported, "no watches")
		}
		return w.Unwatch(ctx, watches)
	})
}

var _ backend.Watcher = storage{}

package host

import (
	"context"

	"github.com/roostmail/roost/core/backend"
)

// metadata returns the plugin's backend.Metadata.
func metadata(p backend.Plugin) (backend.Metadata, error) {
	m, ok := p.(backend.Metadata)
	if !ok || !p.Info().Has(backend.CapMetadata) {
		return nil, backend.Errorf(backend.KindUnsupported, "the mail storage keeps no annotations")
	}
	return m, nil
}

// GetMetadata implements backend.Metadata.
func (s storage) GetMetadata(ctx context.Context, u *backend.User, namespace string, names []string, q backend.MetadataQuery) (all []backend.MailboxMetadata, err error) {
	err = s.p.call(ctx, twice, func(p backend.Plugin) error {
		m, err := metadata(p)
		if err == nil {
			all, err = m.GetMetadata(ctx, u, namespace, names, q)
		}
		return err
	})
	return all, err
}

// SetMetadata implements backend.Metadata. It may be done twice without harm.
func (s storage) SetMetadata(ctx context.Context, m backend.MailboxRef, changes []backend.MetadataEntry) error {
	if s.p.readOnly {
		return backend.Errorf(backend.KindReadOnly, "the mail storage is read-only")
	}
	return s.p.call(ctx, twice, func(p backend.Plugin) error {
		w, err := metadata(p)
		if err == nil {
			err = w.SetMetadata(ctx, m, changes)
		}
		return err
	})
}

var _ backend.Metadata = storage{}

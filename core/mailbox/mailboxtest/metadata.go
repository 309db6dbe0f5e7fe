package mailboxtest

import (
	"context"
	"slices"
	"strings"

	"github.com/roostmail/roost/core/backend"
)

// AllowMetadata makes that Info announces backend.CapMetadata. It is called before anybody asks. most is how many annotations a mailbox may have.
func (s *Store) AllowMetadata(most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.maxMetadata = most
	s.metadata = map[boxKey]map[string][]byte{}
}

// GetMetadata implements backend.Metadata.
func (s *Store) GetMetadata(_ context.Context, u *backend.User, namespace string, names []string, q backend.MetadataQuery) ([]backend.MailboxMetadata, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.enter("GetMetadata"); err != nil {
		return nil, err
	}
	out := make([]backend.MailboxMetadata, len(names))
	for i, name := range names {
		k := boxKey{u.Name, namespace, name}
		if name != "" && s.mailboxes[k] == nil {
			out[i].Err = backend.Errorf(backend.KindNotFound, "Mailbox doesn't exist: %s", name)
			continue
		}
		for entry, value := range s.metadata[k] {
			if q.Wants(entry) {
				out[i].Entries = append(out[i].Entries, backend.MetadataEntry{Name: entry, Value: value})
			}
		}
		slices.SortFunc(out[i].Entries, func(a, b backend.MetadataEntry) int { return strings.Compare(a.Name, b.Name) })
	}
	return out, nil
}

// SetMetadata implements backend.Metadata.
func (s *Store) SetMetadata(_ context.Context, m backend.MailboxRef, changes []backend.MetadataEntry) error {
	return s.write("SetMetadata", func() error {
		k := boxKey{m.User.Name, m.Namespace, m.Name}
		if m.Name != "" && s.mailboxes[k] == nil {
			return backend.Errorf(backend.KindNotFound, "Mailbox doesn't exist: %s", m.Name)
		}
		values := map[string][]byte{}
		for entry, value := range s.metadata[k] {
			values[entry] = value
		}
		for _, c := range changes {
			if c.Value == nil {
				delete(values, c.Name)
			} else {
				values[c.Name] = c.Value
			}
		}
		if len(values) > s.maxMetadata {
			return backend.Errorf(backend.KindLimit, "Too many annotations")
		}
		s.metadata[k] = values
		return nil
	})
}

var _ backend.Metadata = (*Store)(nil)

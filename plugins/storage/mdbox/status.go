package mdbox

import (
	"context"

	"github.com/emersion/go-imap/v2"
	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
)

// Status implements backend.Storage.
func (s *Storage) Status(ctx context.Context, u *backend.User, namespace string, names []string, items backend.StatusItems) ([]backend.MailboxStatus, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	_, p, err := s.locate(u, namespace)
	if err != nil {
		return nil, err
	}
	res := make([]backend.MailboxStatus, len(names))
	for i, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, toBackend(err)
		}
		st, err := s.status(p, name, items)
		if err != nil {
			res[i] = backend.MailboxStatus{Name: name, Err: toBackend(err)}
			continue
		}
		res[i] = backend.MailboxStatus{
			Name:          name,
			Messages:      st.Messages,
			Recent:        st.Recent,
			Unseen:        st.Unseen,
			UIDNext:       imap.UID(st.UIDNext),
			UIDValidity:   st.UIDValidity,
			HighestModSeq: st.HighestModSeq,
			Size:          st.Size,
			MailboxID:     st.GUID,
		}
	}
	return res, nil
}

func (s *Storage) status(p place, name string, items backend.StatusItems) (mdbox.Status, error) {
	m, release, err := s.stores.mailbox(p, name)
	if err != nil {
		return mdbox.Status{}, err
	}
	defer release()
	st, err := m.Status(items&backend.StatusSize != 0)
	if err != nil {
		return mdbox.Status{}, s.failed(p, m, err)
	}
	return st, nil
}

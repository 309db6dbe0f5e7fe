package mdbox

import (
	"context"
	"errors"
	"time"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/index"
)

// attachments are files of messages that a purge has removed.
type attachments []attachment

type attachment struct {
	guid dbox.GUID // of the message
	path string
}

// add adds the attachments of a message with the given metadata. If they can not be understood, they stay.
func (a *attachments) add(m dbox.Metadata) {
	refs, _ := m.Get(dbox.KeyAttachments)
	list, err := dbox.DecodeAttachments(refs)
	if err != nil || len(list) == 0 {
		return
	}
	guid, _ := m.Get(dbox.KeyGUID)
	for _, ref := range list {
		*a = append(*a, attachment{dbox.ParseGUID(guid), ref.Path})
	}
}

// attachmentsTimeout bounds how long it takes to remove attachments after a purge that was to stop.
const attachmentsTimeout = 5 * time.Second

// removeAttachments removes the attachments of messages that were purged, but not of those of which there is another copy in a mailbox: a purge that
// was killed, or a repair, can leave a message twice, and both name the same files. MAP keeps messages where they are meanwhile. What goes wrong
// is reported, and leaves files that nobody needs. If ctx has ended, it is not given up at once: nobody would find the files again.
func (s *Store) removeAttachments(ctx context.Context, left attachments) {
	if len(left) == 0 || s.options.AttachmentDir == "" {
		return
	}
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), attachmentsTimeout)
		defer cancel()
	}
	s.report("remove attachments", s.withMap(ctx, func(*lockedMap) error {
		gone := map[dbox.GUID]bool{}
		begin := func() {
			for _, a := range left {
				gone[a.guid] = true
			}
		}
		unread, err := s.eachMailbox(ctx, begin, func(state *index.State) error {
			guids := state.Ext(index.ExtGUID)
			if guids == nil {
				return nil
			}
			for i := range state.Len() {
				guid, err := index.DecodeGUID(guids.Record(i))
				if err != nil {
					return err
				}
				delete(gone, guid)
			}
			return nil
		})
		if err = errors.Join(err, unread); err != nil {
			return err
		}
		for _, a := range left {
			if gone[a.guid] {
				err = errors.Join(err, s.files.RemoveAttachment(a.path))
			}
		}
		return err
	}))
}

package mdbox

import (
	"context"
	"fmt"
	"io"
	"slices"
)

// copyOver copies messages to another store: they are read from the one and saved in the other, with the
// dates, flags and GUIDs that they have.
func (b *Mailbox) copyOver(ctx context.Context, r CopyRequest) (*Copied, error) {
	uids, messages, err := b.toSave(r)
	if err != nil || len(uids) == 0 {
		return &Copied{}, err
	}
	ms, err := b.Messages(uids)
	if err != nil {
		return nil, err
	}
	defer ms.Close()
	for i := range messages {
		messages[i].Body = &nextBody{ms: ms, uid: uids[i]}
	}
	saved, err := r.To.Append(ctx, messages)
	if err != nil {
		return nil, fmt.Errorf("mdbox: copy to %s: %w: %w", r.To.name, ErrDestination, err)
	}
	copied := &Copied{UIDValidity: saved.UIDValidity, Source: uids, UIDs: saved.UIDs}
	if r.Move {
		_, err = b.Expunge(ctx, r.Mailbox, uids, false)
	}
	return copied, err
}

// toSave returns the messages to copy, without their bodies.
func (b *Mailbox) toSave(r CopyRequest) (uids []uint32, messages []NewMessage, err error) {
	b.mu.Lock()
	s, err := b.refresh()
	if err == nil && r.Mailbox != [16]byte{} && b.guid(s) != r.Mailbox {
		err = fmt.Errorf("%w: %s is another mailbox now", ErrNotFound, b.name)
	}
	if err != nil {
		b.mu.Unlock()
		return nil, nil, err
	}
	for i := range located(s, slices.Values(r.UIDs)) {
		uids = append(uids, s.UIDs()[i])
		messages = append(messages, NewMessage{Flags: s.Flags()[i] & messageFlags &^ r.Without.Flags, Keywords: r.keywords(s, i, s.Keywords())})
	}
	b.mu.Unlock()
	ms, err := b.Messages(uids)
	if err != nil {
		return nil, nil, err
	}
	defer ms.Close()
	for i := 0; ms.Next(); i++ {
		if i == len(uids) || ms.Message().UID() != uids[i] {
			return nil, nil, fmt.Errorf("%w: UID %d of %s", ErrExpunged, uids[min(i, len(uids)-1)], b.name)
		}
		if messages[i].Received, err = ms.Message().Received(); err != nil {
			return nil, nil, err
		}
		if messages[i].GUID, err = ms.Message().GUID(); err != nil {
			return nil, nil, err
		}
		if messages[i].Size, err = ms.Message().Size(); err != nil {
			return nil, nil, err
		}
	}
	return uids, messages, ms.Err()
}

// nextBody reads the body of the next message of ms, which is looked for with the first Read.
type nextBody struct {
	ms  *Messages
	uid uint32
	r   io.ReadCloser
	err error // the end, or why there is no more
}

func (n *nextBody) Read(p []byte) (int, error) {
	if n.err != nil {
		return 0, n.err
	}
	if n.r == nil {
		if !n.ms.Next() || n.ms.Message().UID() != n.uid {
			return 0, fmt.Errorf("%w: UID %d: %w", ErrExpunged, n.uid, n.ms.Err())
		}
		r, err := n.ms.Message().NewText()
		if err != nil {
			return 0, err
		}
		n.r = r
	}
	k, err := n.r.Read(p)
	if err != nil {
		n.err = err
		n.r.Close()
	}
	return k, err
}

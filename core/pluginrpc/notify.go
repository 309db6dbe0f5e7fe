package pluginrpc

import (
	"fmt"
	"math/bits"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
	notifyv1 "github.com/roostmail/roost/proto/roost/notify/v1"
)

// Conversions between core/backend and roost.notify.v1, in pairs. Those from the
// wire check its own lengths; backend's Check methods do the rest.

func changesToProto(cs []backend.MailboxChange) []*notifyv1.Change {
	out := make([]*notifyv1.Change, len(cs))
	for i := range cs {
		c := &cs[i]
		out[i] = &notifyv1.Change{
			User: utf8Text(c.User), Namespace: utf8Text(c.Namespace), Mailbox: utf8Text(c.Mailbox), OldMailbox: utf8Text(c.OldMailbox),
			Kinds: changeKindsToProto(c.Kinds), Node: utf8Text(c.Node), Time: c.Time.UnixMilli(),
		}
		if s := c.State; s != nil {
			out[i].State = &notifyv1.MailboxState{MailboxId: s.MailboxID[:], UidValidity: s.UIDValidity, UidNext: uint32(s.UIDNext),
				HighestModseq: s.HighestModSeq, Messages: s.Messages}
		}
	}
	return out
}

func changesFromProto(ps []*notifyv1.Change) ([]backend.MailboxChange, error) {
	cs := make([]backend.MailboxChange, len(ps))
	for i, p := range ps {
		cs[i] = backend.MailboxChange{
			User: p.GetUser(), Namespace: p.GetNamespace(), Mailbox: p.GetMailbox(), OldMailbox: p.GetOldMailbox(),
			Kinds: changeKindsFromProto(p.GetKinds()), Node: p.GetNode(), Time: time.UnixMilli(p.GetTime()),
		}
		s := p.GetState()
		if s == nil {
			continue
		}
		if len(s.MailboxId) != 16 {
			return nil, fmt.Errorf("change %d: mailbox_id has %d bytes, not 16", i, len(s.MailboxId))
		}
		cs[i].State = &backend.MailboxState{MailboxID: [16]byte(s.MailboxId), UIDValidity: s.UidValidity, UIDNext: imap.UID(s.UidNext),
			HighestModSeq: s.HighestModseq, Messages: s.Messages}
	}
	return cs, nil
}

// changeKindsToProto: bit n is number n+1.
func changeKindsToProto(k backend.ChangeKinds) []notifyv1.ChangeKind {
	var out []notifyv1.ChangeKind
	for k != 0 {
		n := bits.TrailingZeros32(uint32(k))
		out = append(out, notifyv1.ChangeKind(n+1))
		k &^= 1 << n
	}
	return out
}

// changeKindsFromProto leaves out kinds that are not known here.
func changeKindsFromProto(ps []notifyv1.ChangeKind) (k backend.ChangeKinds) {
	for _, p := range ps {
		if _, known := notifyv1.ChangeKind_name[int32(p)]; known && p > 0 {
			k |= 1 << (p - 1)
		}
	}
	return k
}

func heardFromProto(p *notifyv1.ListenResponse) (*backend.Heard, error) {
	cs, err := changesFromProto(p.Changes)
	if err != nil {
		return nil, err
	}
	h := &backend.Heard{Changes: cs, Lost: p.Lost, Begun: p.Begun}
	return h, h.Check()
}

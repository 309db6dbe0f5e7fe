package imap

import (
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
)

// STORE and UID STORE (RFC 3501 §6.4.6, §6.4.8): SP set SP [modifiers SP] item SP flags, with the
// modifier UNCHANGEDSINCE (RFC 7162 §3.1.3).
//
// The FETCH responses are sync's (ownChange): what the command did is told together with what others did meanwhile.
func runStore(r *request) error {
	r.d.SP()
	set := r.numSet()
	args, err := r.parseStore()
	if err != nil {
		return err
	}
	ranges, err := r.messages(set)
	if err != nil {
		return err
	}
	if args.conditional {
		if err := r.needModSeqs(); err != nil {
			return err
		}
		r.enableCondstore() // RFC 7162 §3.1
	}
	uids := r.view.UIDsOf(r.limited(ranges))
	if len(uids) == 0 {
		return nil
	}
	before, modified, err := r.store(uids, args.change, args.unchangedSince)
	if err != nil {
		return err
	}
	done := r.mbox.Current().Existing(without(uids, modified))
	r.own = &ownChange{uids: done, change: args.change, silent: args.silent, before: before}
	switch {
	case len(modified) > 0:
		r.ok.code = "MODIFIED " + string(imapwire.AppendNumSet(nil, r.numbers(modified)))
		r.ok.text = "Conditional store failed."
	case !r.cmd.uid && len(done) < len(uids): // RFC 2180 §4.2
		r.ok.code, r.ok.text = "EXPUNGEISSUED", "Store completed, but some of the messages no longer exist."
	}
	return nil
}

// store changes flags in one call. before is what they were, modified are the UIDs that unchangedSince protected.
func (r *request) store(uids []uint32, c mailbox.FlagChange, unchangedSince uint64) (before *mailbox.View, modified []uint32, err error) {
	before, err = r.mbox.Change(r.ctx, func(since []byte) (changed *backend.Changes, err error) {
		var result *backend.StoreResult
		r.during(func() {
			result, err = r.srv.writer.Store(r.ctx, &backend.StoreRequest{Mailbox: *r.mbox.Ref(), MailboxID: r.view.MailboxID, UIDs: uids,
				Mode: c.Mode, Flags: c.System, Keywords: c.Keywords, UnchangedSince: unchangedSince, Since: since})
		})
		if err != nil {
			return nil, err
		}
		modified = result.Modified
		return result.Changed, nil
	})
	r.fresh = err == nil
	return before, modified, err
}

// without returns the elements of s, ascending, that are not in x, ascending.
func without(s, x []uint32) []uint32 {
	if len(x) == 0 {
		return s
	}
	return slices.DeleteFunc(slices.Clone(s), func(uid uint32) bool {
		_, ok := slices.BinarySearch(x, uid)
		return ok
	})
}

// numbers returns the numbers by which the command names messages of the view: their UIDs, or their sequence numbers.
func (r *request) numbers(uids []uint32) []imapwire.NumRange {
	if r.cmd.uid {
		return imapwire.RangesOf(uids)
	}
	seqs := make([]uint32, 0, len(uids))
	for _, uid := range uids {
		if seq := r.view.Seq(imap.UID(uid)); seq != 0 {
			seqs = append(seqs, uint32(seq))
		}
	}
	return imapwire.RangesOf(seqs)
}

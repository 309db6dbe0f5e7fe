package imap

import (
	"iter"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
)

// resync is the parameter QRESYNC of SELECT and EXAMINE (RFC 7162 §3.2.5): what the client knows of the mailbox.
type resync struct {
	uidValidity uint32
	modseq      uint64
	known       imapwire.NumSet // UIDs; nil: all up to UIDNEXT
	// A sample of sequence numbers and the UIDs that belonged to them, as many of each; nil: none.
	seqs, uids imapwire.NumSet
}

// parseResync reads what follows the parameter's name: SP "(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")"
// (RFC 7162 §7). Dovecot's clients may send 0 for the modseq, and leave out the UIDs before match data.
func (r *request) parseResync() *resync {
	d := &r.d
	s := &resync{}
	d.SP()
	d.Byte('(')
	s.uidValidity = d.NZNumber()
	d.SP()
	s.modseq = d.Number64()
	more := d.TrySP()
	if more && d.Peek() != '(' {
		s.known = knownSet(d)
		more = d.TrySP()
	}
	if more {
		d.Byte('(')
		s.seqs = knownSet(d)
		d.SP()
		s.uids = knownSet(d)
		d.Byte(')')
		if d.OK() && s.seqs.Count() != s.uids.Count() {
			d.Fail("sets of sequence numbers and UIDs differ in length")
		}
	}
	d.Byte(')')
	return s
}

// knownSet reads a sequence set without "*".
func knownSet(d *imapwire.Decoder) imapwire.NumSet {
	at := d.Pos()
	set := d.NumSet()
	for _, r := range set {
		if r.Start == imapwire.Star || r.Stop == imapwire.Star {
			d.FailAt(at, "* is not allowed here")
		}
	}
	return set
}

// resync tells what has changed since the client knew the mailbox, as UID FETCH known-uids (FLAGS) (CHANGEDSINCE modseq
// VANISHED) would (RFC 7162 §3.2.5.1).
func (r *request) resync(v *mailbox.View, s *resync) error {
	known := []backend.UIDRange{{First: 1, Last: uint32(v.UIDNext) - 1}}
	ranges := v.All()
	if s.known != nil {
		known = knownUIDs(v, s.known)
		ranges = v.UIDs(s.known)
	}
	err := r.vanished(v, known, s.modseq, matched(v, s.seqs, s.uids))
	if err != nil {
		return err
	}
	args := &fetchArgs{changedSince: s.modseq, conditional: true}
	items := []string{"UID", "FLAGS", "MODSEQ"}
	if r.enabled(enabledUIDOnly) {
		items = items[1:]
	}
	for _, item := range items {
		args.addWord(item)
	}
	f := r.srv.newFetch(r.ctx, v, r.mbox.Ref(), r.s)
	f.recent, f.uidOnly = r.recent(v), r.enabled(enabledUIDOnly)
	return f.execute(args, ranges)
}

// knownUIDs returns the UIDs of a set. "*" is the last UID that there has ever been, so that what was expunged at the end is in "1:*".
func knownUIDs(v *mailbox.View, set imapwire.NumSet) []backend.UIDRange {
	var rs []backend.UIDRange
	for _, r := range set.Ranges(uint32(v.UIDNext) - 1) {
		rs = append(rs, backend.UIDRange{First: r.Start, Last: r.Stop})
	}
	return rs
}

// matched returns the highest UID of a sample that has the sequence number in v that it had for the client, 0 = none: the client
// knows of all that was expunged up to there (RFC 7162 §3.2.5.2).
func matched(v *mailbox.View, seqs, uids imapwire.NumSet) (uid uint32) {
	nextSeq, stopSeqs := iter.Pull(imapwire.Numbers(seqs.Ranges(0)))
	defer stopSeqs()
	nextUID, stopUIDs := iter.Pull(imapwire.Numbers(uids.Ranges(0)))
	defer stopUIDs()
	for {
		s, ok := nextSeq()
		u, okU := nextUID()
		if !ok || !okU || s > v.Len() {
			return uid
		}
		if m, _ := v.Message(mailbox.SeqNum(s)); m.UID == imap.UID(u) {
			uid = u
		}
	}
}

// vanished tells which of known, UIDs above the given one, were expunged since a modseq. Where storage does not know
// any more, these are all that are not there (RFC 7162 §5.1).
func (r *request) vanished(v *mailbox.View, known []backend.UIDRange, since uint64, above uint32) error {
	if since == v.HighestModSeq || len(known) == 0 { // a higher one may be of a time before Dovecot has set it back
		return nil
	}
	known = intersect(known, []backend.UIDRange{{First: min(above, 1<<32-2) + 1, Last: 1<<32 - 1}})
	expunged, err := r.srv.modseqs.Expunged(r.ctx, *r.mbox.Ref(), v.MailboxID, since)
	if err != nil {
		return err
	}
	if expunged.Known {
		known = intersect(known, expunged.UIDs)
	}
	missing := v.Missing(known)
	if len(missing) == 0 {
		return nil
	}
	b := r.s.Buffer()
	*b = append(*b, "* VANISHED (EARLIER) "...)
	for i, u := range missing {
		if i > 0 {
			*b = append(*b, ',')
		}
		*b = imapwire.AppendNumSet(*b, []imapwire.NumRange{{Start: u.First, Stop: u.Last}})
		if len(*b) >= fetchFlush {
			r.s.Commit()
		}
	}
	*b = append(*b, '\r', '\n')
	return gone(r.s.Commit())
}

// intersect returns what is in both of two ascending lists of ranges.
func intersect(a, b []backend.UIDRange) []backend.UIDRange {
	var out []backend.UIDRange
	for len(a) > 0 && len(b) > 0 {
		if first, last := max(a[0].First, b[0].First), min(a[0].Last, b[0].Last); first <= last {
			out = append(out, backend.UIDRange{First: first, Last: last})
		}
		if a[0].Last < b[0].Last {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}

package imap

import (
	"context"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
)

// FETCH and UID FETCH (RFC 3501 §6.4.5, §6.4.8): SP set SP items [SP modifiers].
//
//	fetch_items.go   the grammar of items
//	fetch_plan.go    what storage is asked for
//	fetch_sink.go    responses, made while storage sends messages
//	fetch_body.go    sections of a body that passes by
//	fetch_resume.go  what happens when storage goes down meanwhile
//
// A command is one call of storage, or none if the view knows everything. Responses are written while messages come
// in; a body goes through piece by piece, unless it has to be taken apart. seen.go sets \Seen.
func runFetch(r *request) error {
	r.d.SP()
	set := r.numSet()
	args, err := parseFetch(&r.d, r.cmd.uid, !r.enabled(enabledUIDOnly))
	if err == nil {
		err = args.check(r)
	}
	if err != nil {
		return err
	}
	ranges, err := r.messages(set)
	if err != nil {
		return err
	}
	if args.page.wanted() {
		ranges = args.pageOf(r.view, ranges)
	}
	ranges = r.limited(ranges) // of the page: what it is counted from is the set (RFC 9394 §3.3)
	if args.has(fetchModSeq) {
		r.enableCondstore() // RFC 7162 §3.1
		if r.enabled(enabledQresync) {
			r.told = r.view.HighestOf(ranges, args.changedSince)
		}
	}
	if args.vanished {
		if err := r.vanished(r.view, knownUIDs(r.view, set.NumSet), args.changedSince, 0); err != nil {
			return err
		}
	}
	f := r.srv.newFetch(r.ctx, r.view, r.mbox.Ref(), r.s)
	f.recent, f.uidOnly = r.recent(r.view), r.enabled(enabledUIDOnly)
	f.seen.sets = args.seen && r.mayWrite() && r.maySee()
	err = f.execute(args, ranges)
	r.storeSeen(f.seen.uids)
	if f.broken { // in the middle of a response: nothing else can be said
		r.logError(err)
		r.st.Proto = stateLogout
		r.s.Close()
		return errNoReply
	}
	return err
}

func (srv *Server) newFetch(ctx context.Context, v *mailbox.View, ref *backend.MailboxRef, out output) *fetch {
	return &fetch{ctx: ctx, srv: srv, view: v, recent: v.Unclaimed(), ref: ref, out: out, retry: srv.newRetry(), failures: srv.newFailures(ref)}
}

// execute sends the items of the messages in ranges. f.broken tells what an error leaves behind.
func (f *fetch) execute(args *fetchArgs, ranges []mailbox.SeqRange) error {
	f.items, f.plan = args.items, makeFetchPlan(args.items)
	if !f.plan.storage() {
		return f.quick(args, ranges)
	}
	for m := range f.view.Newer(ranges, args.changedSince) {
		f.uids = append(f.uids, uint32(m.UID))
	}
	return f.run()
}

// fetchFlush is how many bytes of responses are made before they are handed over.
const fetchFlush = 16 << 10

// quick answers items that the view knows.
func (f *fetch) quick(args *fetchArgs, ranges []mailbox.SeqRange) error {
	b := f.out.Buffer()
	start := len(*b)
	for m := range f.view.Newer(ranges, args.changedSince) {
		*b = f.appendFirst(*b, m, nil)
		*b = append(*b, ")\r\n"...)
		if len(*b)-start >= fetchFlush {
			if err := f.out.Commit(); err != nil {
				return gone(err)
			}
			f.out.Breathe()
			start = len(*b)
		}
	}
	return gone(f.out.Commit())
}

// gone makes the error of a session that can not be written to any more.
func gone(err error) error {
	if err == nil {
		return nil
	}
	return &backend.Error{Kind: backend.KindCancelled, Cause: err}
}

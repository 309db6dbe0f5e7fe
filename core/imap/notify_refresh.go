package imap

import (
	"context"
	"maps"
	"slices"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/session"
)

// notifyRelists is for how many users the names are listed again in one round of polling: no watch tells of names that another
// program makes or removes.
const notifyRelists = 64

// notifyResumes is for how many users that is done for the first time.
const notifyResumes = 4096

// onPoll is called in each PollInterval: what has failed is tried again, and some users' names are looked at.
func (h *hubs) onPoll() {
	h.mu.Lock()
	ids := make([]uint32, 0, len(h.byID))
	for id := range h.byID {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	from, _ := slices.BinarySearch(ids, h.polled+1)
	var due []uint32
	resumed := 0
	for i := range ids {
		id := ids[(from+i)%len(ids)]
		switch b := h.byID[id]; {
		case b.failed:
			b.failed = false
			due = append(due, id)
		case b.names == nil: // its sessions come from another process
			if resumed++; resumed <= notifyResumes {
				due = append(due, id)
			}
		case i < notifyRelists:
			h.polled = id
			b.relist = true
			due = append(due, id)
		}
	}
	h.mu.Unlock()
	for _, id := range due {
		h.announce(id, func(*hub) {})
	}
}

// refresh asks storage for what is doubtful. The caller, for the session s, has put a token into b.turn, which is taken out. The other sessions are
// signalled if there is something for them. full names the limit that does not allow what the sets ask for: the others' business, unless the session is just trying.
func (h *hubs) refresh(ctx context.Context, s *session.Session, b *hub, trying bool) (full string, err error) {
	h.mu.Lock()
	relist, stale, version := b.relist, b.stale, b.version
	b.relist, b.stale = false, false
	var patterns []pattern
	for _, set := range b.sets {
		patterns = append(patterns, set.set.patterns()...)
	}
	h.mu.Unlock()
	user := h.srv.users.Get(b.user)
	var l *listing
	if relist {
		r := &request{srv: h.srv, s: s, st: s.State(), ctx: ctx}
		if l, err = r.listed(patterns); err == nil {
			h.mu.Lock()
			var fresh bool
			fresh, full = h.take(b, l)
			stale = stale || fresh
			if !trying || full == "" {
				b.full = full // a trial that fits ends what was too much before
			}
			h.mu.Unlock()
			relist = false
		}
	}
	if err == nil && stale {
		var got []mailbox.Followed
		got, err = h.srv.boxes.FollowedChanges(ctx, user, b.id)
		h.mu.Lock()
		b.takeStatus(got) // with an error too: nobody is told of these again
		h.mu.Unlock()
		stale = err != nil
	}
	if err == nil {
		stale, err = h.lookAtAnnotations(ctx, user, b)
	}
	h.mu.Lock()
	b.relist, b.stale = b.relist || relist, b.stale || stale
	<-b.turn
	b.failed = err != nil && ctx.Err() == nil
	but := s.Handle()
	if b.relist || b.stale {
		but = 0
	}
	var others []session.Handle
	if b.version != version || b.full != "" || !b.failed && (b.relist || b.stale) {
		others = b.handles()
	}
	h.mu.Unlock()
	h.signalAll(others, but)
	return full, err
}

// take compares a new listing with the last one, and follows what it says is to be followed. It reports whether
// there are mailboxes whose values are not known, and which limit does not allow them. The caller holds mu.
func (h *hubs) take(b *hub, l *listing) (stale bool, full string) {
	if h.byID[b.id] != b {
		return false, "" // everybody has gone
	}
	before := b.names
	if before != nil {
		b.diff(l, h.srv.cfg.NotifyUserMailboxes)
	}
	b.names = l
	maps.DeleteFunc(b.hints, func(_ string, x hint) bool { return !x.command.running })
	wanted := map[boxName]*listed{}
	for _, m := range l.all {
		if !m.info.NoSelect && !m.info.NonExistent && b.follows(m) {
			wanted[boxName{m.ns.Name, m.info.Name}] = m
		}
	}
	h.forget(b, func(x *hubBox) bool { return wanted[boxName{x.listed.ns.Name, x.listed.info.Name}] == nil })
	fresh := map[string][]string{}
	n := 0
	for name, m := range wanted {
		if x := b.boxes[name]; x != nil {
			x.listed = m // what is subscribed may have changed
			continue
		}
		fresh[name.namespace] = append(fresh[name.namespace], name.name)
		n++
	}
	switch most := h.srv.cfg.NotifyUserMailboxes; {
	case most > 0 && len(wanted) > most:
		return false, limitNotifyUserMailboxes
	case h.srv.cfg.NotifyMailboxes > 0 && h.srv.boxes.Followed()+n > h.srv.cfg.NotifyMailboxes:
		return false, limitNotifyMailboxes
	}
	for namespace, names := range fresh {
		h.srv.boxes.Follow(b.id, namespace, names)
		for _, name := range names {
			x := &hubBox{listed: wanted[boxName{namespace, name}]}
			x.annotations.known = before != nil && !exists(before.byName[x.listed.name]) // it had none
			x.at = b.order.PushBack(x)
			b.boxes[boxName{namespace, name}] = x
		}
	}
	return n > 0, ""
}

// takeStatus takes new values. The caller holds mu.
func (b *hub) takeStatus(got []mailbox.Followed) {
	version := b.version + 1
	for _, f := range got {
		x := b.boxes[boxName{f.Namespace, f.Status.Name}]
		if x == nil {
			continue
		}
		x.denied = f.Status.Err != nil && f.Status.Err.Kind == backend.KindNoPermission
		if f.Status.Err != nil {
			if f.Status.Err.Kind == backend.KindNotFound {
				b.relist = true
			}
			continue
		}
		changed := false
		note := func(at *uint64, other bool) {
			if other || !x.known {
				*at, changed = version, true
			}
		}
		old, now := &x.value, &f.Status
		note(&x.messages, old.Messages != now.Messages || old.UIDNext != now.UIDNext || old.UIDValidity != now.UIDValidity)
		note(&x.unseen, old.Unseen != now.Unseen)
		note(&x.modseq, old.HighestModSeq != now.HighestModSeq)
		x.known, x.value, x.doubtful = true, f.Status, true
		x.value.Watches = nil
		if changed {
			x.texts, b.version = nil, version
			b.order.MoveToFront(x.at)
		}
	}
}

package relay

import (
	"context"
	"maps"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// publish hands over what is in the queue, until the relay is closed.
func (r *Relay) publish() {
	var failed pauses
	for {
		select {
		case <-r.queue.ready:
		case <-r.ctx.Done():
			r.last()
			return
		}
		timer := time.NewTimer(r.cfg.Delay)
		select {
		case <-timer.C:
		case <-r.ctx.Done():
			timer.Stop()
			r.last()
			return
		}
		if r.flush(r.ctx) {
			failed = pauses{}
		} else {
			failed.wait(r.ctx)
		}
	}
}

// last tries once to hand over what is left.
func (r *Relay) last() {
	ctx, cancel := context.WithTimeout(context.Background(), r.cfg.Timeout)
	defer cancel()
	if !r.flush(ctx) {
		r.log.Warn("changes of mailboxes are lost at the end", "mailboxes", r.queue.len())
	}
}

// flush empties the queue. It returns false when a batch had to be put back.
func (r *Relay) flush(ctx context.Context) bool {
	for {
		ps, dropped := r.queue.take(r.cfg.Batch)
		if len(ps) == 0 {
			return true
		}
		if !r.send(ctx, ps, dropped) {
			return false
		}
	}
}

// send makes one call of the plugin. It returns false if the batch was put back.
func (r *Relay) send(ctx context.Context, ps []*pending, dropped uint64) bool {
	r.look(ctx, ps)
	b := &backend.ChangeBatch{Changes: make([]backend.MailboxChange, len(ps)), Dropped: dropped}
	for i, p := range ps {
		b.Changes[i] = p.change
	}
	call, cancel := context.WithTimeoutCause(ctx, r.cfg.Timeout, context.DeadlineExceeded)
	err := r.cfg.Plugin.Publish(call, b)
	cancel()
	if err == nil {
		r.counts.published.Add(uint64(len(ps)))
		return true
	}
	r.counts.failures.Add(1)
	switch backend.KindOf(err) {
	case backend.KindInvalidArgument, backend.KindNotFound, backend.KindNoPermission, backend.KindUnsupported:
		r.counts.refused.Add(uint64(len(ps)))
		r.log.Error("the notify plugin refuses changes, they are dropped", "changes", len(ps), "error", err)
		return true
	}
	if r.ctx.Err() == nil {
		r.log.Warn("the notify plugin does not take changes, they wait", "changes", len(ps), "error", err)
	}
	r.drop(r.queue.putBack(ps, dropped))
	return false
}

// statusItems are those that cost no more than opening a mailbox.
const statusItems = backend.StatusMessages | backend.StatusUIDNext | backend.StatusUIDValidity | backend.StatusHighestModSeq | backend.StatusMailboxID

// look asks storage for the states that are not known, in one call for each user and namespace. Those that it can not tell stay unknown.
func (r *Relay) look(ctx context.Context, ps []*pending) {
	type owner struct{ user, namespace string }
	unknown := map[owner][]*pending{}
	for _, p := range ps {
		if c := &p.change; c.State == nil && c.Kinds != backend.ChangeDeleted {
			o := owner{c.User, c.Namespace}
			unknown[o] = append(unknown[o], p)
		}
	}
	for o, list := range unknown {
		for len(list) > 0 {
			n := 1 // a user may have different userdb fields in another session
			for n < len(list) && maps.Equal(list[n].user.Fields, list[0].user.Fields) {
				n++
			}
			r.ask(ctx, o.namespace, list[:n])
			list = list[n:]
		}
	}
}

// ask makes one call of storage, for changes of one user and namespace.
func (r *Relay) ask(ctx context.Context, namespace string, ps []*pending) {
	names := make([]string, len(ps))
	for i, p := range ps {
		names[i] = p.change.Mailbox
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	got, err := r.storage.Status(ctx, ps[0].user, namespace, names, statusItems)
	if err != nil || len(got) != len(names) {
		r.log.Debug("changed mailboxes could not be looked at", "user", ps[0].user.Name, "error", err)
		return
	}
	for i, s := range got {
		if s.Err != nil || s.UIDValidity == 0 || s.UIDNext == 0 {
			continue
		}
		ps[i].change.State = &backend.MailboxState{MailboxID: s.MailboxID, UIDValidity: s.UIDValidity, UIDNext: s.UIDNext,
			HighestModSeq: max(s.HighestModSeq, 1), Messages: s.Messages}
	}
}

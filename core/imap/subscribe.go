package imap

import "github.com/roostmail/roost/core/backend"

// SUBSCRIBE and UNSUBSCRIBE (RFC 3501 §6.3.6, §6.3.7): SP mailbox. The mailbox need not exist.
func runSubscribe(r *request) error {
	raw, err := r.onlyMailbox()
	if err != nil {
		return err
	}
	ns, name, err := r.srv.names.resolve(raw, r.utf8())
	if err != nil {
		return err
	}
	named := r.naming(ns.Name, name, "")
	ns, name = r.srv.names.subscription(ns, name)
	ref := backend.MailboxRef{User: r.user(), Namespace: ns.Name, Name: name}
	err = r.srv.writer.Subscribe(r.ctx, ref, r.cmd.name == "SUBSCRIBE")
	named(err == nil)
	if err == nil {
		kind := backend.ChangeUnsubscribed
		if r.cmd.name == "SUBSCRIBE" {
			kind = backend.ChangeSubscribed
		}
		r.srv.boxes.Named(ref, kind, "")
	}
	return err
}

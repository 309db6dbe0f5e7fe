package imap

import (
	"github.com/roostmail/roost/core/backend"
)

// RESETKEY (RFC 4467 §7): [SP mailbox *(SP mechanism)]. Without a mailbox the keys of all of them go. GENURLAUTH makes a new one.
func runResetKey(r *request) error {
	if r.d.AtEnd() {
		if err := r.end(); err != nil {
			return err
		}
		r.ok.text = "All keys removed."
		return r.resetKeys()
	}
	r.d.SP()
	raw := r.d.Mailbox()
	for r.d.TrySP() {
		if at := r.d.Pos(); r.d.Word() != urlMechanism && r.d.OK() {
			r.d.FailAt(at, "Unsupported URLAUTH mechanism.")
		}
	}
	if err := r.end(); err != nil {
		return err
	}
	ref, err := r.ref(raw)
	if err != nil {
		return err
	}
	r.ok.code, r.ok.text = "URLMECH "+urlMechanism, "Key removed."
	return r.setURLKey(ref, nil)
}

// resetKeys takes the keys of all mailboxes of the user.
func (r *request) resetKeys() error {
	all, err := r.listed([]pattern{"*"})
	if err != nil {
		return err
	}
	keys, err := r.listMetadata(all.all, &backend.MetadataQuery{Entries: []string{urlKeyEntry}})
	if err != nil {
		return err
	}
	for m, entries := range keys {
		if len(entries) == 0 || m.ns.Public {
			continue
		}
		if err := r.setURLKey(backend.MailboxRef{User: r.user(), Namespace: m.ns.Name, Name: m.info.Name}, nil); err != nil {
			return err
		}
	}
	return nil
}

package imap

import (
	"strings"

	"github.com/roostmail/roost/core/backend"
)

// RENAME (RFC 3501 §6.3.5): SP mailbox SP mailbox. Storage knows what is special about INBOX.
func runRename(r *request) error {
	r.d.SP()
	oldRaw := r.d.Mailbox()
	r.d.SP()
	newRaw := r.d.Mailbox()
	if err := r.end(); err != nil {
		return err
	}
	old, err := r.ref(oldRaw)
	if err != nil {
		return err
	}
	to, err := r.newRef(newRaw, false)
	if err != nil {
		return err
	}
	if old.Namespace != to.Namespace {
		return no("CANNOT", "Can't rename mailboxes across namespaces.")
	}
	named := r.naming(to.Namespace, to.Name, old.Name)
	r.during(func() { err = r.srv.writer.RenameMailbox(r.ctx, old, to.Name) })
	named(err == nil)
	if err != nil {
		return err
	}
	r.respelled(to, newRaw, oldRaw, "")
	r.renamed(old, old.Name != "INBOX")
	r.renamed(to, true)
	if old.Name == "INBOX" { // its messages have moved, and no mailbox below
		r.srv.boxes.Named(old, backend.ChangeExpunged, "")
	}
	r.srv.boxes.Named(to, backend.ChangeRenamed, old.Name)
	return nil
}

// renamed makes the sessions of a mailbox, and with below of those below it, find out whether their mailbox has its
// name still. The session itself does so with its next command: this one was completed, and is answered.
func (r *request) renamed(ref backend.MailboxRef, below bool) {
	r.srv.boxes.Renamed(ref, below)
	if r.st.Proto != stateSelected {
		return
	}
	namespace, name := r.srv.boxes.NameOf(r.s.Mailbox())
	if namespace == ref.Namespace && (name == ref.Name || below && strings.HasPrefix(name, ref.Name+"/")) {
		r.fresh = true
	}
}

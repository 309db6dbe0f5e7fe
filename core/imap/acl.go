package imap

import (
	"strings"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
)

// capabilitiesACL are announced if storage has access control lists (RFC 4314 §7, RFC 8440).
const capabilitiesACL = " ACL RIGHTS=texk LIST-MYRIGHTS"

func withACL(srv *Server) bool { return srv.acl != nil }

// rightLetters has the letter of each right, from the lowest bit (RFC 4314 §2.1).
const rightLetters = "lrwstipekxa"

// The rights of RFC 2086 that stand for several (RFC 4314 §2.1.1). DELETE is one of "c", as in Dovecot.
const (
	rightsOfC = backend.RightCreate | backend.RightDelete
	rightsOfD = backend.RightExpunge | backend.RightWriteDeleted
)

// appendRights appends the letters of rights, which are quoted if there are none. "c" and "d" stand there if any of what
// they mean does (RFC 4314 §2.1.1).
func appendRights(b []byte, r backend.Rights) []byte {
	if r == 0 {
		return append(b, `""`...)
	}
	for i := range len(rightLetters) {
		if r&(1<<i) != 0 {
			b = append(b, rightLetters[i])
		}
	}
	if r&rightsOfC != 0 {
		b = append(b, 'c')
	}
	if r&rightsOfD != 0 {
		b = append(b, 'd')
	}
	return b
}

// parseRights reads rights. ok is false for an unknown one (RFC 4314 §3.1: BAD).
func parseRights(s []byte) (r backend.Rights, unknown byte, ok bool) {
	for _, c := range s {
		switch i := strings.IndexByte(rightLetters, c); {
		case i >= 0:
			r |= 1 << i
		case c == 'c':
			r |= rightsOfC
		case c == 'd':
			r |= rightsOfD
		default:
			return 0, c, false
		}
	}
	return r, 0, true
}

// aclMailbox reads SP mailbox.
func (r *request) aclMailbox() []byte {
	r.d.SP()
	return r.d.Mailbox()
}

// identifier reads SP identifier (RFC 4314 §3), and takes the "-" of a negative one off.
func (r *request) identifier() (id string, negative bool) {
	r.d.SP()
	at := r.d.Pos()
	id, negative = strings.CutPrefix(string(r.d.AString()), "-")
	if r.d.OK() && id == "" {
		r.d.FailAt(at, "identifier is empty")
	}
	return id, negative
}

// GETACL (RFC 4314 §3.3): SP mailbox.
func runGetACL(r *request) error {
	raw, err := r.onlyMailbox()
	if err != nil {
		return err
	}
	ref, err := r.ref(raw)
	if err != nil {
		return err
	}
	list, err := r.srv.acl.GetACL(r.ctx, ref)
	if err != nil {
		return err
	}
	b := r.s.Buffer()
	*b = r.appendSent(append(*b, "* ACL "...), raw)
	for _, e := range list {
		id := e.Identifier
		if e.Negative {
			id = "-" + id
		}
		*b = imapwire.AppendAString(append(*b, ' '), id)
		*b = appendRights(append(*b, ' '), e.Rights)
	}
	*b = append(*b, '\r', '\n')
	if r.s.Commit() != nil {
		return errNoReply
	}
	return nil
}

// SETACL (RFC 4314 §3.1): SP mailbox SP identifier SP ["+" / "-"] rights.
func runSetACL(r *request) error {
	raw := r.aclMailbox()
	var change backend.ACLChange
	change.Identifier, change.Negative = r.identifier()
	r.d.SP()
	at := r.d.Pos()
	letters := r.d.AString()
	if len(letters) > 0 {
		switch letters[0] {
		case '+':
			change.Mode, letters = backend.StoreAdd, letters[1:]
		case '-':
			change.Mode, letters = backend.StoreRemove, letters[1:]
		}
	}
	rights, unknown, ok := parseRights(letters)
	if !ok && r.d.OK() {
		r.d.FailAt(at, "invalid ACL right "+quote([]byte{unknown}))
	}
	change.Rights = rights
	if err := r.end(); err != nil {
		return err
	}
	ref, err := r.ref(raw)
	if err != nil {
		return err
	}
	if err := r.srv.acl.SetACL(r.ctx, ref, change); err != nil {
		return err
	}
	r.rightsChanged(ref)
	return nil
}

// DELETEACL (RFC 4314 §3.2): SP mailbox SP identifier.
func runDeleteACL(r *request) error {
	raw := r.aclMailbox()
	id, negative := r.identifier()
	if err := r.end(); err != nil {
		return err
	}
	ref, err := r.ref(raw)
	if err != nil {
		return err
	}
	if err := r.srv.acl.DeleteACL(r.ctx, ref, id, negative); err != nil {
		return err
	}
	r.rightsChanged(ref)
	return nil
}

// rightsChanged is called when a mailbox may be visible to others than before.
func (r *request) rightsChanged(ref backend.MailboxRef) {
	r.naming(ref.Namespace, ref.Name, "")(true)
	r.wrote(ref, 0)
	r.srv.boxes.Named(ref, backend.ChangeRights, "")
}

// LISTRIGHTS (RFC 4314 §3.4): SP mailbox SP identifier. No right is always given, and none is tied to another.
func runListRights(r *request) error {
	raw := r.aclMailbox()
	r.d.SP()
	id := r.d.AString()
	if err := r.end(); err != nil {
		return err
	}
	ref, err := r.ref(raw)
	if err != nil {
		return err
	}
	if _, err := r.srv.acl.GetACL(r.ctx, ref); err != nil { // needs the same right
		return err
	}
	b := r.s.Buffer()
	*b = r.appendSent(append(*b, "* LISTRIGHTS "...), raw)
	*b = imapwire.AppendAString(append(*b, ' '), id)
	*b = append(*b, ` "" l r w s t p i e k x a c d`+"\r\n"...)
	if r.s.Commit() != nil {
		return errNoReply
	}
	return nil
}

// MYRIGHTS (RFC 4314 §3.5): SP mailbox. Who has no right at all is not told whether there is such a mailbox.
func runMyRights(r *request) error {
	raw, err := r.onlyMailbox()
	if err != nil {
		return err
	}
	ref, err := r.ref(raw)
	if err != nil {
		return err
	}
	rights, err := r.rights(ref)
	if err != nil {
		return err
	}
	if rights == 0 {
		return errNonExistent(raw)
	}
	b := r.s.Buffer()
	*b = r.appendMyRights(*b, raw, rights)
	if r.s.Commit() != nil {
		return errNoReply
	}
	return nil
}

// appendMyRights appends the MYRIGHTS response (RFC 4314 §3.8).
func (r *request) appendMyRights(b, mailbox []byte, rights backend.Rights) []byte {
	b = r.appendSent(append(b, "* MYRIGHTS "...), mailbox)
	return append(appendRights(append(b, ' '), rights), '\r', '\n')
}

// rights returns the rights of the session's user; all of them where there are no access control lists.
func (r *request) rights(ref backend.MailboxRef) (backend.Rights, error) {
	if r.srv.acl == nil {
		return backend.AllRights, nil
	}
	all, err := r.srv.acl.MyRights(r.ctx, ref.User, ref.Namespace, []string{ref.Name})
	if err != nil {
		return 0, err
	}
	if len(all) != 1 {
		return 0, backend.Errorf(backend.KindInternal, "Storage gave an invalid answer.")
	}
	if all[0].Err != nil {
		return 0, all[0].Err
	}
	return all[0].Rights, nil
}

// listRights asks for the rights to all names that exist, with one call per namespace (RFC 8440 §3).
func (r *request) listRights(ms []*listed) (map[*listed]backend.Rights, error) {
	if r.srv.acl == nil {
		return nil, bad("Unknown return option MYRIGHTS.")
	}
	out := map[*listed]backend.Rights{}
	for ns, ms := range selectable(ms) {
		var all []backend.MailboxRights
		var err error
		if r.during(func() { all, err = r.srv.acl.MyRights(r.ctx, r.user(), ns.Name, storedNames(ms)) }); err != nil {
			return nil, err
		}
		for i := range all {
			if i < len(ms) && all[i].Err == nil && all[i].Rights != 0 {
				out[ms[i]] = all[i].Rights
			}
		}
	}
	return out, nil
}

// changes are the rights with which a mailbox is selected READ-WRITE: without all of them it is READ-ONLY (RFC 4314 §5.2).
const changes = backend.RightInsert | backend.RightExpunge | flagRights

// flagRights are the rights to change flags.
const flagRights = backend.RightWrite | backend.RightWriteSeen | backend.RightWriteDeleted

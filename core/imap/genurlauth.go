package imap

import (
	"encoding/hex"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
)

// GENURLAUTH (RFC 4467 §7): 1*(SP url SP mechanism). The answer has the same URLs with their tokens. The first of a mailbox makes its key.
func runGenURLAuth(r *request) error {
	var urls []*authURL
	for r.d.OK() {
		r.d.SP()
		raw := r.d.AString()
		r.d.SP()
		mechanism := r.d.Word()
		if !r.d.OK() {
			break
		}
		u, err := r.srv.parseAuthURL(string(raw))
		switch {
		case err != nil:
			return err
		case u.mechanism != "":
			return bad("Invalid URL: It has a token already.")
		case u.user != r.user().Name:
			return bad("Not permitted to generate URLAUTH for another user.")
		case mechanism != urlMechanism:
			return bad("Unsupported URLAUTH mechanism.")
		}
		if urls = append(urls, u); r.d.AtEnd() {
			break
		}
	}
	if err := r.end(); err != nil {
		return err
	}
	out := []byte("* GENURLAUTH")
	for _, u := range urls {
		key, err := r.keyFor(u)
		if err != nil {
			return err
		}
		full := u.rump + ":internal:" + hex.EncodeToString(tokenOf(key, u.rump))
		out = imapwire.AppendAString(append(out, ' '), full)
	}
	r.s.Write(append(out, "\r\n"...))
	return nil
}

// keyFor returns the key of the URL's mailbox, which is made if there is none.
func (r *request) keyFor(u *authURL) ([]byte, error) {
	ref, err := r.srv.urlRef(r.user(), u)
	var key []byte
	if err == nil {
		key, err = r.srv.urlKey(r.ctx, ref)
	}
	if err == nil && key == nil {
		if err = r.setURLKey(ref, newURLKey()); err == nil {
			key, err = r.srv.urlKey(r.ctx, ref) // somebody else may have been faster
		}
		if err == nil && key == nil {
			err = backend.Errorf(backend.KindInternal, "Storage does not keep the key of the mailbox.")
		}
	}
	if err != nil && (backend.KindOf(err) == backend.KindNotFound || responseOf(err).code == "NONEXISTENT") { // RFC 4467 §7, GENURLAUTH (1)
		err = bad("Invalid URL: Mailbox doesn't exist.")
	}
	return key, err
}

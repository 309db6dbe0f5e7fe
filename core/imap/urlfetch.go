package imap

import (
	"crypto/hmac"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
)

// URLFETCH (RFC 4467 §7): 1*(SP url). There is an answer for each URL: the text, or NIL for one that is not good, for whatever reason.
func runURLFetch(r *request) error {
	var urls [][]byte
	for r.d.OK() {
		r.d.SP()
		if urls = append(urls, r.d.AString()); r.d.AtEnd() {
			break
		}
	}
	if err := r.end(); err != nil {
		return err
	}
	for _, raw := range urls {
		content, err := r.urlFetch(string(raw))
		if err != nil {
			return err
		}
		b := r.s.Buffer()
		*b = imapwire.AppendAString(append(*b, "* URLFETCH "...), raw)
		if content == nil {
			*b = append(*b, " NIL\r\n"...)
		} else {
			*b = imapwire.AppendLiteralHeader(append(*b, ' '), uint64(len(content)))
			*b = append(append(*b, content...), "\r\n"...)
		}
		if r.s.Commit() != nil {
			return errNoReply
		}
	}
	return nil
}

// urlFetch returns what a URL stands for, nil for one that is not good. The error is that of a storage that can not be asked now.
func (r *request) urlFetch(raw string) ([]byte, error) {
	u, err := r.srv.parseAuthURL(raw)
	if err != nil || !u.expires.IsZero() && !r.srv.cfg.clock.now().Before(u.expires) || !u.admits(r.srv, r.user().Name) {
		return nil, nil
	}
	owner, err := r.urlOwner(u)
	var ref backend.MailboxRef
	if err == nil {
		ref, err = r.srv.urlRef(owner, u)
	}
	var key []byte
	if err == nil {
		key, err = r.srv.urlKey(r.ctx, ref)
	}
	if backend.KindOf(err) == backend.KindUnavailable {
		return nil, err
	}
	good := key != nil && u.mechanism == urlMechanism
	if key == nil {
		key = newURLKey() // RFC 4467 §6: what is not there takes as long
	}
	if !hmac.Equal(tokenOf(key, u.rump), u.token) || !good {
		return nil, nil
	}
	content, err := r.urlMessage(u.message, ref)
	if err != nil {
		if backend.KindOf(err) == backend.KindUnavailable {
			return nil, err
		}
		return nil, nil
	}
	if content == nil {
		content = []byte{}
	}
	return content, nil
}

// urlOwner returns the user whose mailbox the URL names: with that user's access it is read.
func (r *request) urlOwner(u *authURL) (*backend.User, error) {
	if me := r.user(); u.user == me.Name {
		return me, nil
	}
	lookup, ok := r.srv.auth.(backend.UserLookup)
	if !ok {
		return nil, backend.Errorf(backend.KindNotFound, "no such user")
	}
	return lookup.LookupUser(r.ctx, u.user)
}

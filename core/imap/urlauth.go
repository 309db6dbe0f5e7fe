package imap

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// URLAUTH (RFC 4467): URLs by which others may read one message, or a part of one.
//
//	genurlauth.go   GENURLAUTH: makes them
//	urlfetch.go     URLFETCH: reads what they stand for
//	resetkey.go     RESETKEY: makes all of a mailbox, or of a user, void
//
// A token proves that a URL was made by who owns the mailbox: it is the HMAC-SHA1 of the URL before it, with the mailbox's access key, behind a byte
// that says so. The key, 64 random bytes in hexadecimal, is an annotation of the mailbox, where Dovecot has it: URLs that one of
// the two servers has made are good for both, and RESETKEY voids them for both.

// withURLAuth reports whether there is URLAUTH: where the name of the host that URLs have is configured, and storage keeps annotations.
func withURLAuth(srv *Server) bool {
	return srv.cfg.URLAuthHost != "" && srv.metadata != nil && srv.writer != nil
}

const (
	urlKeyEntry  = "/private/vendor/vendor.dovecot/imap-urlauth"
	urlKeySize   = 64
	urlMechanism = "INTERNAL" // the only one (RFC 4467 §2.4.1)

	tokenHMACSHA1 = 1 // first byte of a token: how it was made
)

// authURL is a URL with access identifier (RFC 4467 §3, §9):
//
//	"imap://" user [";AUTH=" type] "@" host [":" port] "/" message [";EXPIRE=" date-time] ";URLAUTH=" access [":" mechanism ":" token]
type authURL struct {
	rump       string // as sent, without mechanism and token
	user       string // who owns the mailbox
	message    *messageURL
	expires    time.Time // zero: never
	access     string    // "submit+", "user+", "authuser" or "anonymous"
	accessUser string    // of the first two
	mechanism  string    // upper case; "" = there is none, nor a token
	token      []byte
}

// parseAuthURL reads such a URL of this server. The error is a *response.
func (srv *Server) parseAuthURL(s string) (*authURL, error) {
	u := &authURL{rump: s}
	rest, ok := cutPrefixFold(s, "imap://")
	server, path, hasPath := strings.Cut(rest, "/")
	user, host, hasUser := strings.Cut(server, "@")
	switch {
	case !ok || !hasPath:
		return nil, bad("Invalid URL: Relative URL not allowed.")
	case !hasUser || user == "":
		return nil, bad("Invalid URL: Missing user name.")
	case !srv.isURLHost(host):
		return nil, bad("Invalid URL: Inappropriate host name.")
	}
	user, _, _ = strings.Cut(user, ";") // AUTH
	var err error
	if u.user, err = unescapeURL(user); err != nil || u.user == "" {
		return nil, bad("Invalid URL: Missing user name.")
	}
	head, auth, ok := cutFold(path, ";URLAUTH=")
	if !ok {
		return nil, bad("Invalid URL: Missing access identifier.")
	}
	if access, proof, ok := strings.Cut(auth, ":"); ok {
		mechanism, token, _ := strings.Cut(proof, ":")
		if u.token, err = hex.DecodeString(token); err != nil || len(u.token) < 16 || mechanism == "" {
			return nil, bad("Invalid URL: Invalid URLAUTH token.")
		}
		u.rump, u.mechanism, auth = s[:len(s)-1-len(proof)], strings.ToUpper(mechanism), access
	}
	if err := u.setAccess(auth); err != nil {
		return nil, err
	}
	if before, date, ok := cutFold(head, ";EXPIRE="); ok {
		if u.expires, err = time.Parse(time.RFC3339, date); err != nil {
			return nil, bad("Invalid URL: Invalid expiration time.")
		}
		head = before
	}
	if u.message, err = parseMessageURL("/" + head); err != nil {
		return nil, bad("Invalid URL: Does not refer to a message.")
	}
	return u, nil
}

func (u *authURL) setAccess(s string) (err error) {
	for _, access := range []string{"submit+", "user+"} {
		if user, ok := cutPrefixFold(s, access); ok {
			u.access = access
			if u.accessUser, err = unescapeURL(user); err != nil || u.accessUser == "" {
				return bad("Invalid URL: Missing user of the access identifier.")
			}
			return nil
		}
	}
	for _, access := range []string{"authuser", "anonymous"} {
		if strings.EqualFold(s, access) {
			u.access = access
			return nil
		}
	}
	return bad("Invalid URL: Unknown access identifier.")
}

// isURLHost reports whether a URL's host, with its port, is this server.
func (srv *Server) isURLHost(host string) bool {
	host, port, ok := strings.Cut(host, ":")
	return strings.EqualFold(host, srv.cfg.URLAuthHost) && (!ok && srv.cfg.URLAuthPort == 143 || port == strconv.Itoa(srv.cfg.URLAuthPort))
}

// admits reports whether a user may use the URL (RFC 4467 §3).
func (u *authURL) admits(srv *Server, user string) bool {
	switch u.access {
	case "user+":
		return u.accessUser == user
	case "submit+":
		return slices.Contains(srv.cfg.URLAuthSubmit, user)
	}
	return true // everybody has logged in
}

// tokenOf returns the token of a URL.
func tokenOf(key []byte, rump string) []byte {
	mac := hmac.New(sha1.New, key)
	mac.Write([]byte(rump))
	return mac.Sum([]byte{tokenHMACSHA1})
}

// urlRef returns the mailbox of a URL. Those of public namespaces have no keys: annotations there are nobody's own.
func (srv *Server) urlRef(owner *backend.User, u *authURL) (ref backend.MailboxRef, err error) {
	ns, name, err := srv.names.resolve([]byte(u.message.mailbox), true)
	if err == nil && ns.Public {
		err = errNonExistent([]byte(u.message.mailbox))
	}
	if err != nil {
		return ref, err
	}
	return backend.MailboxRef{User: owner, Namespace: ns.Name, Name: name}, nil
}

// urlKey returns the access key of a mailbox, nil if there is none.
func (srv *Server) urlKey(ctx context.Context, ref backend.MailboxRef) ([]byte, error) {
	all, err := srv.metadata.GetMetadata(ctx, ref.User, ref.Namespace, []string{ref.Name}, backend.MetadataQuery{Entries: []string{urlKeyEntry}})
	if err == nil && all[0].Err != nil {
		err = all[0].Err
	}
	if err != nil || len(all[0].Entries) == 0 {
		return nil, err
	}
	key, err := hex.DecodeString(string(all[0].Entries[0].Value))
	if err != nil || len(key) != urlKeySize {
		return nil, nil // not one: RESETKEY helps
	}
	return key, nil
}

// setURLKey gives a mailbox a key, or takes the one that it has.
func (r *request) setURLKey(ref backend.MailboxRef, key []byte) error {
	e := backend.MetadataEntry{Name: urlKeyEntry}
	if key != nil {
		e.Value = []byte(hex.EncodeToString(key))
	}
	err := r.srv.metadata.SetMetadata(r.ctx, ref, []backend.MetadataEntry{e})
	if err == nil {
		r.wrote(ref, backend.ChangeMetadata) // its HIGHESTMODSEQ is another one
	}
	return err
}

// newURLKey returns a key that nobody knows.
func newURLKey() []byte {
	key := make([]byte, urlKeySize)
	rand.Read(key) // never fails
	return key
}

func cutPrefixFold(s, prefix string) (after string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// cutFold cuts s around the last sep, in any letters.
func cutFold(s, sep string) (before, after string, ok bool) {
	for i := len(s) - len(sep); i >= 0; i-- {
		if strings.EqualFold(s[i:i+len(sep)], sep) {
			return s[:i], s[i+len(sep):], true
		}
	}
	return s, "", false
}

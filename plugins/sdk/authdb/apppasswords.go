package authdb

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/password"
)

// AppPasswords is implemented by a Source whose users have passwords for one program each, beside their own.
type AppPasswords interface {
	// AppPasswords returns those of a user who exists; of more than MaxAppPasswords, the first count. The error is a *backend.Error.
	AppPasswords(ctx context.Context, name string, v Vars) ([]AppPassword, error)
}

// MaxAppPasswords is how many app passwords of a user are tried: each login may try all of them.
const MaxAppPasswords = 32

// AppPassword is a password that is good for some things only.
type AppPassword struct {
	Label   string // tells it from others, in the log
	Stored  string // {SCHEME}data
	Scopes  []string
	Expires time.Time // zero = never
}

// ParseAppPassword makes an app password of its parts as they are written: scopes with commas or spaces between ("imap", "imap:read", another service, or one of
// those with ":read"; none = nothing is allowed), and a day or time (RFC 3339, or seconds of UNIX time) from which it is not good any more, "" = never.
func ParseAppPassword(label, stored, scopes, expires string) (a AppPassword, err error) {
	a = AppPassword{Label: label, Stored: stored, Scopes: strings.FieldsFunc(scopes, func(r rune) bool { return r == ',' || r == ' ' })}
	for _, layout := range [...]string{time.DateOnly, time.RFC3339, time.DateTime} {
		if a.Expires, err = time.Parse(layout, expires); err == nil {
			return a, nil
		}
	}
	if expires == "" {
		return a, nil
	}
	var seconds int64
	if n, err := fmt.Sscanf(expires, "%d", &seconds); n != 1 || err != nil || fmt.Sprint(seconds) != expires {
		return a, fmt.Errorf("%q is not a time such as 2030-12-31", expires)
	}
	a.Expires = time.Unix(seconds, 0)
	return a, nil
}

// allows returns whether the password is good for a service, and whether for reading alone.
func (a *AppPassword) allows(service string) (ok, readOnly bool) {
	if slices.Contains(a.Scopes, service) {
		return true, false
	}
	return slices.Contains(a.Scopes, service+":read"), true
}

// appPassword looks for the app password that was sent; nil: it is none, and may be the user's own. They are tried before it: they are long and random, so
// that a fast hash is enough for them.
func (db *DB) appPassword(ctx context.Context, a *account, tried password.Attempt) (*AppPassword, error) {
	source, ok := db.source.(AppPasswords)
	if !ok || a.as != "" {
		return nil, nil
	}
	list, err := source.AppPasswords(ctx, a.name, a.vars)
	if err != nil {
		return nil, err
	}
	if len(list) > MaxAppPasswords {
		db.log.WarnContext(ctx, "user has too many app passwords, the last are not tried", "user", a.name, "count", len(list), "most", MaxAppPasswords)
		list = list[:MaxAppPasswords]
	}
	for i := range list {
		p := &list[i]
		if emptyPassword(p.Stored) {
			continue
		}
		match, err := db.hash(ctx, tried, p.Stored)
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, backend.Errorf(backend.KindCancelled, "cancelled")
		case err != nil:
			db.log.Error("app password can not be checked", "user", a.name, "label", p.Label, "error", err)
		case match:
			return p, nil
		}
	}
	return nil, nil
}

// restrict makes an identity one of an app password.
func (db *DB) restrict(id *backend.Identity, a *AppPassword, service string) error {
	ok, readOnly := a.allows(service)
	switch {
	case !a.Expires.IsZero() && !db.now().Before(a.Expires):
		return &backend.Error{Kind: backend.KindAuthExpired, Message: "This password has expired", Detail: "app password " + a.Label}
	case !ok:
		return &backend.Error{Kind: backend.KindAuthDenied, Message: "This password is not for this service", Detail: fmt.Sprintf("app password %s has the scopes %q", a.Label, a.Scopes)}
	}
	id.ReadOnly, id.Label, id.Expires = readOnly, a.Label, a.Expires
	return nil
}

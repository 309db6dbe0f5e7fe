package authdb

import (
	"context"
	"errors"
	"net/netip"
	"strings"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/password"
)

// VerifyPassword implements backend.Auth. An unknown user, a wrong password and a stored password that
// can not be checked are all KindAuthFailed with the same message; the Detail tells them apart.
func (db *DB) VerifyPassword(ctx context.Context, r backend.PasswordRequest) (*backend.Identity, error) {
	v := Vars{Service: r.Service, Remote: addrText(r.Remote), Local: addrText(r.Local), Session: r.Session}
	a, err := db.find(ctx, r.User, r.AuthzID, v)
	if err != nil {
		return nil, err
	}
	tried := password.Attempt{User: r.User, Password: []byte(r.Password), Limits: db.opts.Limits}
	if !a.Found {
		return nil, db.unknown(ctx, &a, tried)
	}
	if a.Err != nil {
		return nil, db.unusable(&a)
	}
	d := sortFields(a.name, &a.Entry)
	if err := refusesAll(d); err != nil {
		return nil, err
	}
	app, err := db.appPassword(ctx, &a, tried)
	if err != nil {
		return nil, err
	}
	if app == nil {
		if err := db.check(ctx, &a, d, tried); err != nil {
			return nil, err
		}
	}
	id, err := db.identify(ctx, a, d, r.Remote)
	if err == nil && app != nil {
		err = db.restrict(id, app, r.Service)
	}
	if err != nil {
		return nil, err
	}
	return id, nil
}

// identify returns who has proved to be the user of a, if it may log in.
func (db *DB) identify(ctx context.Context, a account, d passdb, remote netip.Addr) (*backend.Identity, error) {
	if refused := db.refusal(d, remote); refused != nil {
		return nil, refused
	}
	if err := db.delay(ctx, d); err != nil {
		return nil, err
	}
	if a.as != "" {
		return db.asUser(ctx, a, d)
	}
	if d.name == "" {
		return nil, failed("the extra fields leave no name")
	}
	if err := a.askUser(ctx, d.name); a.Err != nil {
		return nil, db.unusable(&a)
	} else if err != nil {
		return nil, err
	}
	d = sortFields(a.name, &a.Entry)
	u, err := db.user(a.vars, d)
	if err != nil {
		return nil, internal(err)
	}
	return &backend.Identity{User: u, Fields: d.fields}, nil
}

// LookupUser implements backend.UserLookup: the userdb fields of the entry, whatever its passdb fields say.
func (db *DB) LookupUser(ctx context.Context, name string) (*backend.User, error) {
	a, err := db.findIn(ctx, db.source, name, Vars{})
	if err != nil {
		return nil, err
	}
	if !a.Found {
		return nil, backend.Errorf(backend.KindNotFound, "no such user")
	}
	if a.Err == nil {
		err = a.askUser(ctx, a.name)
	}
	if errors.Is(a.Err, ErrUnsafeName) {
		return nil, backend.Errorf(backend.KindNotFound, "no such user")
	}
	if a.Err != nil {
		return nil, internal(a.Err)
	}
	if err != nil {
		return nil, err
	}
	d := sortFields(a.name, &a.Entry)
	d.name = a.name
	u, err := db.user(a.vars, d)
	if errors.Is(err, ErrUnsafeName) {
		return nil, backend.Errorf(backend.KindNotFound, "no such user")
	}
	if err != nil {
		return nil, internal(err)
	}
	return &u, nil
}

// account is an entry with what it was found by.
type account struct {
	Entry
	login string // as sent, without the user for whom a master user asks
	as    string // as whom it wants to log in, as sent; "" = itself
	name  string // normalised; "" if the login name is not allowed
	vars  Vars
}

// find looks up who logs in, or the master user who logs in as somebody else. Not being there is no error.
func (db *DB) find(ctx context.Context, login, authzID string, v Vars) (account, error) {
	who, as := db.parties(login, authzID, v)
	source := db.source
	if as != "" && db.masters != nil {
		source = db.masters
	}
	a, err := db.findIn(ctx, source, who, v)
	a.as = as
	return a, err
}

func (db *DB) findIn(ctx context.Context, source Source, login string, v Vars) (a account, err error) {
	a = account{login: login, vars: v}
	a.vars.User = login
	if !db.allowedName(login) {
		return a, nil
	}
	if a.name, err = a.vars.Expand(db.opts.AuthFormat); err != nil {
		return a, internal(err)
	}
	a.vars.User = a.name
	if a.Entry, err = source.Find(ctx, a.name, a.vars); err != nil {
		return a, err
	}
	if a.Found && a.Password != "" {
		db.decoy.Store(&a.Password)
	} else if last := db.decoy.Load(); !a.Found && a.Decoy == "" && last != nil {
		a.Decoy = *last
	}
	return a, nil
}

// allowedName reports whether a login name has only allowed characters, and one at least.
func (db *DB) allowedName(name string) bool {
	if name == "" || db.opts.UserChars == "" {
		return name != ""
	}
	for i := range len(name) {
		if strings.IndexByte(db.opts.UserChars, name[i]) < 0 {
			return false
		}
	}
	return true
}

// unusable logs why an entry can not be used.
func (db *DB) unusable(a *account) error {
	db.log.Error("login is not possible", "where", a.Where, "user", a.name, "error", a.Err)
	return failed(a.Err.Error())
}

// unknown spends what checking the password of an existing user costs.
func (db *DB) unknown(ctx context.Context, a *account, tried password.Attempt) error {
	if a.Decoy != "" {
		if _, err := db.hash(ctx, tried, a.Decoy); err != nil && ctx.Err() != nil {
			return backend.Errorf(backend.KindCancelled, "cancelled")
		}
	}
	return failed("unknown user")
}

// check returns nil if the password is the user's own. The error is a *backend.Error.
func (db *DB) check(ctx context.Context, a *account, d passdb, tried password.Attempt) error {
	if _, set := d.fields["nopassword"]; set && emptyPassword(a.Password) && a.as == "" {
		return nil
	}
	if a.Verify != nil {
		match, err := a.Verify(ctx, string(tried.Password))
		if err == nil && !match {
			err = failed("wrong password")
		}
		return err
	}
	if a.Password == "" {
		return failed("the user has no password")
	}
	match, err := db.hash(ctx, tried, a.Password)
	switch {
	case err != nil && ctx.Err() != nil:
		return backend.Errorf(backend.KindCancelled, "cancelled")
	case err != nil:
		db.log.ErrorContext(ctx, "stored password can not be checked", "where", a.Where, "user", a.name, "error", err)
		return failed(err.Error())
	case !match:
		return failed("wrong password")
	}
	return nil
}

// refusesAll returns why no proof of identity is good enough, or nil.
func refusesAll(d passdb) error {
	for _, key := range []string{"fail", "noauthenticate"} {
		if _, set := d.fields[key]; set {
			return failed("extra field " + key + " is set")
		}
	}
	return nil
}

// emptyPassword reports whether a stored password is nothing, or a scheme without data, "{PLAIN}".
func emptyPassword(stored string) bool {
	_, data := password.Split(stored, "")
	return data == ""
}

// hash checks a password when fewer hashes are being computed than there are cores.
func (db *DB) hash(ctx context.Context, tried password.Attempt, stored string) (bool, error) {
	if err := db.takeTurn(ctx); err != nil {
		return false, err
	}
	defer db.endTurn()
	return password.Check(tried, stored, db.opts.Scheme)
}

// takeTurn waits until a hash may be computed. The error is KindCancelled.
func (db *DB) takeTurn(ctx context.Context) error {
	select {
	case db.hashing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return backend.Errorf(backend.KindCancelled, "cancelled")
	}
}

func (db *DB) endTurn() { <-db.hashing }

func failed(detail string) *backend.Error {
	return &backend.Error{Kind: backend.KindAuthFailed, Message: "Authentication failed", Detail: detail}
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().String()
}

// internal is for an error that is no user's fault, or for a name that no user can have.
func internal(err error) error {
	if errors.Is(err, ErrUnsafeName) {
		return failed(err.Error())
	}
	return &backend.Error{Kind: backend.KindInternal, Detail: err.Error(), Cause: err}
}

// Admit returns the identity of someone who has proved to be the user name by other means than a password: the name is checked and
// normalised, and the fields of e are looked at as after a right password. e.Found, Password and Verify do not matter.
func (db *DB) Admit(ctx context.Context, name string, e Entry, authzID string, v Vars, remote netip.Addr) (*backend.Identity, error) {
	normalised, err := db.Normalise(name, v)
	if err != nil {
		return nil, err
	}
	v.User = normalised
	d := sortFields(normalised, &e)
	if err := refusesAll(d); err != nil {
		return nil, err
	}
	_, as := db.parties(name, authzID, v)
	return db.identify(ctx, account{Entry: e, login: name, as: as, name: normalised, vars: v}, d, remote)
}

// Normalise returns a login name as Source.Find gets it. The error is KindAuthFailed for a name with characters that are not allowed.
func (db *DB) Normalise(login string, v Vars) (string, error) {
	if !db.allowedName(login) {
		return "", failed("the user name has characters that are not allowed")
	}
	v.User = login
	name, err := v.Expand(db.opts.AuthFormat)
	if err != nil {
		return "", internal(err)
	}
	return name, nil
}

package authdb

import (
	"context"
	"strings"

	"github.com/roostmail/roost/core/backend"
)

// A master user logs in as somebody else, with a password of its own: as Dovecot's auth_master_user_separator says ("jane*admin"), or by
// an authorization identity (SASL PLAIN, SCRAM, EXTERNAL). Master users are in a source of their own, where nobody else is looked for: who is in no
// such source logs in as nobody else, and who is there alone has no mail.

// SetMasters sets the source of master users. It must be called before the first login.
func (db *DB) SetMasters(s Source) { db.masters = s }

// parties returns who proves its identity, and as whom it wants to log in: "" = itself.
func (db *DB) parties(login, authzID string, v Vars) (who, as string) {
	if authzID != "" && authzID != login {
		name, err := db.normal(login, v)
		if other, otherErr := db.normal(authzID, v); err != nil || otherErr != nil || name != other {
			return login, authzID
		}
	}
	if db.opts.MasterSeparator == "" {
		return login, ""
	}
	if as, who, ok := strings.Cut(login, db.opts.MasterSeparator); ok && as != "" && who != "" {
		return who, as
	}
	return login, ""
}

// normal returns a login name as auth_username_format makes it.
func (db *DB) normal(name string, v Vars) (string, error) {
	v.User = name
	return v.Expand(db.opts.AuthFormat)
}

// asUser returns the identity of the user as whom the master user of a logs in: the userdb fields are that user's, whose passdb fields do not matter, as
// in Dovecot without pass=yes. d has the master user's.
func (db *DB) asUser(ctx context.Context, a account, d passdb) (*backend.Identity, error) {
	if db.masters == nil {
		return nil, &backend.Error{Kind: backend.KindAuthDenied, Message: "Authorization as another user is not allowed", Detail: "authorization identity differs"}
	}
	target, err := db.findIn(ctx, db.source, a.as, a.vars)
	switch {
	case err != nil:
		return nil, err
	case !target.Found:
		return nil, failed("the master user " + a.name + " asks for an unknown user")
	case target.Err != nil:
		return nil, db.unusable(&target)
	}
	if err := target.askUser(ctx, target.name); target.Err != nil {
		return nil, db.unusable(&target)
	} else if err != nil {
		return nil, err
	}
	fields := sortFields(target.name, &target.Entry)
	fields.name = target.name
	u, err := db.user(target.vars, fields)
	if err != nil {
		return nil, internal(err)
	}
	u.Fields[backend.FieldMaster] = a.name
	return &backend.Identity{User: u, Fields: d.fields}, nil
}

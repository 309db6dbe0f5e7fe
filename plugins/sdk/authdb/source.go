package authdb

import "context"

// Source finds users. It is safe for concurrent use.
type Source interface {
	// Find returns the entry of a user. name is normalised, and v.User is it too. That there is no such user is no error: Entry.Found is
	// false. An error is a *backend.Error: mostly KindUnavailable, when the answer is not known.
	Find(ctx context.Context, name string, v Vars) (Entry, error)
}

// Entry is what a source knows of a user.
type Entry struct {
	Found bool
	// Password is the stored one, {SCHEME}data or data in the default scheme; "" = none. It is not used if Verify is set.
	Password string
	// Verify checks a password where the source can do that only itself. The error is a *backend.Error.
	Verify func(ctx context.Context, password string) (bool, error)
	// Fields are the passdb extra fields, and userdb fields under "userdb_KEY", in their order; values have variables expanded.
	Fields []Field
	// UserDB are the userdb fields that the source has beside them: home, uid, gid, mail …
	UserDB map[string]string
	// UserOf returns the userdb fields of the user name, in place of UserDB, of an entry that was found: name is its own, or the one that its fields have made
	// of it (user=, username=, domain=). It is called for a user who may log in, or a lookup. An error that is no *backend.Error is as Err. nil: UserDB has them.
	UserOf func(ctx context.Context, name string, v Vars) (map[string]string, error)
	// Decoy, of an entry that was not found, is the stored password of another user, always the same one for a name: checking it costs what a
	// real check costs. "" = that of the user who was found last.
	Decoy string
	// Err, of an entry that was found, says why it can not be used: it is logged, and a login fails like one with a wrong password.
	Err error
	// Where names the place of the entry for the log: a file, a table.
	Where string
}

// Field is an extra field. One without '=' has an empty value.
type Field struct{ Key, Value string }

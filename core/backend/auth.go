package backend

import (
	"context"
	"net/netip"
	"time"
)

// User is an authenticated user as storage needs it. It holds no secret. It may be shared by many calls, and is not changed.
type User struct {
	Name string // normalised login name
	// Fields are the userdb fields under Dovecot's names: home, mail, uid, gid, … FieldMaster is among them.
	Fields map[string]string
}

// FieldMaster, of User.Fields, is the name of the master user who has logged in as the user. Access control lists are those of the master user
// then; "" = the user itself has logged in.
const FieldMaster = "master_user"

// Auth is the auth plugin kind.
type Auth interface {
	Plugin
	// VerifyPassword checks a user name and password (SASL PLAIN, LOGIN, the
	// LOGIN command). Kinds: KindAuthFailed for an unknown user as well as for
	// a wrong password (told apart in Detail only), KindAuthDenied,
	// KindAuthExpired, KindUnavailable. It takes about the same time whether or not the user exists.
	VerifyPassword(ctx context.Context, r PasswordRequest) (*Identity, error)
}

// UserLookup is implemented by auth plugins that can look up a user without a password.
type UserLookup interface {
	// LookupUser returns KindNotFound if there is no such user.
	LookupUser(ctx context.Context, name string) (*User, error)
}

// PasswordRequest is one attempt to log in.
type PasswordRequest struct {
	User     string // authentication identity, as sent by the client
	AuthzID  string // authorization identity (SASL PLAIN), "" = the same
	Password string
	Service  string     // "imap"
	Remote   netip.Addr // of the client; invalid = unknown
	Local    netip.Addr
	Secured  bool // TLS, or a local connection
	Session  string
}

// Identity is the result of a successful authentication.
type Identity struct {
	User User
	// Fields are the passdb extra fields that are not userdb fields.
	Fields map[string]string

	// The rest is about proofs that are good for some things only, such as passwords of programs.

	ReadOnly bool      // the session may change nothing
	Label    string    // names the proof in the log, "" = none
	Expires  time.Time // the proof is not remembered beyond this; zero = never. A session goes on
}

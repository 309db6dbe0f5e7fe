// Package passwdfile is the auth plugin "passwd-file": users and passwords from
// files in Dovecot's passwd-file syntax (dovecot src/auth/db-passwd-file.c).
//
// A file has one user per line:
//
//	user:password:uid:gid:gecos:home:shell:extra_fields
//
//	field         meaning
//	user          compared exactly with the normalised login name
//	password      {SCHEME}data, {SCHEME.ENC}data, data[NN] (libpam-pwdfile), or data in the default scheme
//	uid, gid      decimal or a system name; empty = none; 0 is refused
//	gecos, shell  ignored
//	home          may be empty
//	extra_fields  the rest of the line, ':' included: words "key" or "key=value"
//
// Trailing fields may be left out. Lines that are empty or start with '#' or ':' are skipped.
// The first line of a user counts; further ones are logged as errors.
//
// The path of the file may contain variables (%d …): each expansion is a file of its own,
// and one that does not exist means that the user is unknown.
//
// A file is read whole and kept as its lines; a line is parsed when its user logs in. It is read again when its
// modification time, size or inode changed, which is looked at once per second at the most. Replace a file
// by renaming a complete one over it.
//
// # Passwords
//
// schemes.go lists every scheme. All comparisons take constant time. A user that does not
// exist costs what one that exists costs: the password is checked against the line of another
// user, chosen by a hash of the name, and the result is thrown away. How much work a stored
// hash may ask for is limited by options (see limits.go), and no more hashes are computed at once than
// there are cores. No password, stored or sent, is ever logged or put into an error.
package passwdfile

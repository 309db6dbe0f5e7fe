// Package users interns authenticated users: a session's record, and a mailbox's, hold a number.
//
// An entry is a record of 48 bytes with its name (a long one is in a blob), and its userdb fields, which
// most users have in common but for their name in some of the values (a home directory): they are interned with marks
// in the place of the name, so that ten million users have one set of fields. Nothing of an entry is on Go's heap. A *backend.User is
// made when a worker needs one; the last ones are kept.
//
// A login may bring other fields than the one before. Entries are equal if name and fields are.
package users

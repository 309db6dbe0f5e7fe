// Package password checks passwords against stored ones in Dovecot's password schemes, and gives SASL mechanisms the
// secrets that can be made of a stored password.
//
// A stored password is {SCHEME}data, {SCHEME.b64}data, {SCHEME.hex}data, or data in a default scheme (dovecot
// src/auth/password-scheme.c); schemes.go lists every scheme. All comparisons take constant time; how much work a
// stored hash may ask for is limited (Limits). No password, stored or sent, is ever part of an error.
package password

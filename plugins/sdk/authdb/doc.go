// Package authdb is what auth plugins with a table of users share: a plugin brings a Source, which finds a user's entry by name, and gets
// passwords in every scheme, Dovecot's extra fields and variables, SASL mechanisms, and equal times for users that exist and users that do not.
//
// A login goes like this:
//
//  1. The name is checked (auth_username_chars) and normalised (auth_username_format).
//  2. Source.Find returns the entry; if there is none, the password is checked against a decoy, and the result is thrown away.
//  3. The password is checked, by no more goroutines at once than there are cores: one ARGON2 hash takes 64 MiB and more.
//  4. The extra fields say whether the user may log in, from where and when, under which name, and where the mail is.
//
// No password, stored or sent, is ever logged or put into an error.
package authdb

// Package ldap is the auth plugin "ldap": users from a directory, in the manner of Dovecot's dovecot-ldap.conf.ext.
//
// pass_filter finds a user's entry. Then either the directory checks the password, by a bind as that entry (auth_bind), or the
// plugin does, against the attribute that pass_attrs maps to "password". user_filter, if there is one, finds the entry with the userdb
// fields.
//
// What a client sends is escaped in filters (RFC 4515 §3) and distinguished names (RFC 4514 §2.4). An empty password is refused before a bind: directories
// take it for an anonymous one, which succeeds (RFC 4513 §5.1.2).
//
// Searches share one connection. Binds, which change who a connection belongs to, have connections of their own. A directory that does not
// answer makes logins fail as unavailable, never as refused.
package ldap

// Package dovecot is the auth plugin "dovecot": it asks the auth process of a Dovecot, so that roost has the same users, passwords and
// mechanisms as the Dovecot beside it, whatever they come from.
//
// Two sockets are used. Passwords and SASL exchanges go to the client socket (auth-client, protocol 1.2), userdb lookups to the userdb
// socket (auth-userdb, protocol 1.1). Each is one connection for all requests, which are told apart by their number. A connection that is
// lost fails its requests as unavailable, and is made anew with the next.
//
// Lines end in LF, fields are separated by TAB; in a field, the bytes NUL, 0x01, TAB, CR and LF are written as 0x01 and one of "01trn".
//
// An exchange of several steps lives in Dovecot, bound to the connection: it fails as unavailable if that, or the plugin, has been restarted
// in between.
package dovecot

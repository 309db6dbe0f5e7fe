// Package sql is the auth plugin "sql": users from a PostgreSQL, MySQL, MariaDB or SQLite database, by queries in the manner of
// Dovecot's dovecot-sql.conf.ext.
//
// password_query finds a user's stored password; each of its columns but "password" is an extra field, those that begin with "userdb_" are
// userdb fields. user_query, if there is one, finds the userdb fields. A column that is NULL is not there.
//
// A query names the user by Dovecot's variables. They never become part of the SQL text: a string literal that has
// variables, '%u' or '%n@example.org', and a variable outside of literals, become a bound parameter each (query.go). Nothing that a
// client sends is read as SQL, whatever the server takes as an escape.
//
// A database that does not answer makes logins fail as unavailable, never as refused.
package sql

// Package acl reads and writes Dovecot's access control lists, as its plugin "acl" with the backend vfile has them, and says what rights follow
// from them.
//
// The file dovecot-acl in a mailbox's directory has a line for each identifier:
//
//	identifier [rights] [":" name *(("," / SP / tab) name)]
//
//	anyone, anonymous       everybody
//	authenticated           everybody who has logged in: with IMAP the same
//	group=NAME              the members of a group
//	owner                   the user whose private namespace the mailbox is in
//	user=NAME               a user
//	group-override=NAME     the members of a group, also against what is said of users
//
// With "-" before it, the line takes rights away. An identifier with a space is quoted: "user=us er", with \ before " and \. Rights are
// letters; other rights have names, which are kept. Empty lines and those with "#" at the beginning are comments. Anything else is an error: then nobody
// has any right (dovecot src/plugins/acl/acl-backend-vfile.c, acl-api.c).
//
// The file of global lists has a pattern for names of mailboxes, as clients see them, before each line. What it says counts
// more than what any dovecot-acl says.
package acl

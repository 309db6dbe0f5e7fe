// Package mdbox reads mailstores in Dovecot's mdbox format, beside a Dovecot that
// uses them. It stands alone: it imports nothing else of roost, and other programs may use it.
//
//	Location     where a store is: mail_location and its variables      ParseLocation
//	Store        the mail of one user                                   New
//	Mailbox      one mailbox of it                                      Store.OpenMailbox
//	Snapshot     its whole state, in columns                            Mailbox.Snapshot
//	Changes      what happened since a Position                         Mailbox.Changes
//	Messages     walks over messages: fields, sizes, text               Mailbox.Messages
//
// # How the files fit together
//
//	mailboxes/<name>/dbox-Mails/dovecot.index      flags, keywords, modseqs …   package index
//	                            dovecot.index.log  every change of them         package translog
//	                            dovecot.index.cache  headers, structures        package cache
//	storage/dovecot.map.index (.log)               map UID → file, offset       package mapindex
//	storage/m.N                                    the messages                 package dbox
//	subscriptions, dovecot.list.index, …           which mailboxes there are    package mailboxlist
//
// A record of a mailbox's index holds a map UID; the map says in which m.N file
// the message is. A purge moves messages, so a reader that does not find one looks
// at the map again (Message).
//
// # Rules
//
// Nothing is written, and no lock is taken: Dovecot's own readers take none either.
// What another process appends to a log is seen by the next call that says it brings the mailbox up to date.
//
// Stores and mailboxes are safe for concurrent use. They hold no file open but m.N and cache
// files, up to a limit. What is returned belongs to the caller.
//
// What is damaged is told, and never repaired: a *vfs.CorruptError names the file,
// the offset and the rule that is broken. Messages that are not concerned are
// served as ever, and each that is served was checked to be the one whose GUID the index holds.
package mdbox

// Package mailboxlist reads which mailboxes a store has: their names, the tree
// they form, subscriptions, and the allocation of UIDVALIDITY.
//
// A mailbox has two names. Clients and callers of this package use UTF-8, levels
// separated by '/', INBOX in capitals. On disk each level is a directory with its
// storage name: modified UTF-7 or, with the option UTF-8 of mail_location, the
// same UTF-8; Codec converts and holds the rules about forbidden names.
//
//	mailboxes/<level>/<level>/dbox-Mails     LAYOUT=fs: a mailbox; without dbox-Mails
//	                                         only a parent (\NoSelect). See Walk.
//	mailboxes/<GUID>                         LAYOUT=index: the tree is in
//	                                         dovecot.list.index. See ListIndex.
//	subscriptions                            Subscriptions
//	dovecot-uidvalidity[.<8 hex>]            UIDValidity
//
// With LAYOUT=fs dovecot.list.index is only a cache, which running Dovecots
// refresh when they please: the directories are the truth, and Walk reads them.
//
// Format: dovecot src/lib-storage/mailbox-list.c, src/lib-storage/list/*.
package mailboxlist

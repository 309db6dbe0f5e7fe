// Package quota knows Dovecot's quota rules: how much mail a user may have, with more or fewer limits for single mailboxes.
//
//	quota_rule  = *:storage=1G:messages=10000
//	quota_rule2 = Trash:storage=+100M
//	quota_rule3 = Trash/*:storage=+10%
//	quota_rule4 = Spam:ignore
//
// A rule is a mailbox name, with wildcards * and ?, and limits. That of "*" (or "?") is the default; what others say is added to it, whether
// or not there is a "+". The first rule after the default one that matches a mailbox counts. "ignore" takes a mailbox out of the count, and off all limits.
//
//	storage=N   KiB, or with a unit B, K, M, G, T
//	bytes=N     bytes, or with a unit
//	messages=N  number of messages
//	…=N%        percent of the default limit; not in the default rule
//
// 0 is no limit. A negative number takes something from the default. (dovecot src/plugins/quota/quota-util.c)
package quota

// Package check looks for damage in an mdbox store, and repairs it.
//
//	Verify   reads everything and changes nothing: each finding names file, offset and rule
//	Rebuild  repairs what Verify finds, and nothing else
//
// # What is checked
//
//	storage/m.N               each file is a sequence of messages, of which the map has each; each can be read to its end
//	dovecot.map.index, .log   no record is damaged or unfinished; references are as many as mailboxes have
//	mailboxes/…/dovecot.index, .log   no record is damaged; each message is in the map, with the GUID that its file has
//	dovecot.index.cache       belongs to the index; each message's records can be read, and say what the message says
//	subscriptions, dovecot-uidvalidity, dovecot.list.index   can be read
//
// # Beside others
//
// Nothing is locked to verify, so others may change the store meanwhile. What looks wrong is looked at again: it is a finding only if it
// is still there although nothing near it has changed. What changes all the time may be left unverified, which the report says.
package check

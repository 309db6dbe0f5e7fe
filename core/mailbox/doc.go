// Package mailbox holds the mailboxes that sessions have selected: shared, immutable
// views, and a journal that takes a session from the version it knows to the
// newest one; and, for mailboxes all of whose sessions sleep, a record that all this can be rebuilt from.
//
// # Entries
//
// A Registry interns (user, namespace, name) to a small id. A session refers to
// its mailbox by that id and a version number, 12 bytes in its record, and owns
// nothing else. What is kept of every mailbox is its entry, 104 bytes outside of Go's heap (entry.go): it says whose
// mailbox it is (a number of core/users and an interned name), what was true of it (UIDVALIDITY, UIDNEXT, number of messages …), the position in
// storage's history at which that was so, the watch, and whether something may have happened since.
//
// # Open and asleep
//
// A Mailbox with its views exists while somebody holds it (Open or Wake, until Release: as long as a command runs), and then for Config.Warm:
// so long it is cheap to go on, also for a client that has gone and comes back. After that, or when the views of all
// mailboxes exceed Config.ViewCache, it falls asleep: nothing is left but the entry. One timer serves all mailboxes.
//
// Asleep it still answers for itself (asleep.go): whether a version is the newest one, STATUS, HIGHESTMODSEQ. An event of its
// watch marks the entry; nobody is woken but who waits for news (IDLE).
//
// To wake it is one call of storage's Open. If the position is the saved one, the view is that of the saved version, and nothing has to be told. Else
// Changes since the saved position says what has happened, and the old view is the present one, plus what was expunged since, minus what arrived since.
// It is checked against the saved number of messages; a history that does not fit, or that storage has lost while something
// changed, costs the sessions that stand there: ErrHistoryGone. (Flags of what was expunged meanwhile are not known: it has none.)
//
// Sessions that stand at older versions, and \Recent claims that sessions do not remember by themselves, go into a blob beside the entry (saved.go). So does a position that is longer than an entry has room for.
//
// The entry is written whenever a mailbox is let go, so that another process could go on from it: it says which version it describes, and
// how many the newest one is ahead of that.
//
// # Views
//
// A View is the mailbox at one version: UIDs, flags and modseqs, in chunks of
// some 1,024 messages. It never changes. The next version shares the chunks that it does not touch: an
// expunge, a flag change or a delivery costs a chunk, and the list of chunks,
// not the mailbox. A sequence number is looked up by the number of messages before each
// chunk, a UID by the last UID of each chunk.
//
// Flags are interned: a message has a number that stands for one combination of
// system flags and keywords, whose text ("\Seen $Work") is kept ready.
//
// # Journal
//
// Every new version leaves a Delta: what was expunged (with all that is needed to put it back),
// which UIDs changed, and the limits (UIDNEXT …) of the version before. From it
//
//   - At(version) rebuilds an older view: the current one, plus what was expunged
//     since, minus what arrived since. Its sequence numbers are exact after any number
//     of changes. (Flags of its messages are the current ones.)
//   - Catchup(version) lists what a session at that version must be told.
//
// Versions count the sessions that stand at them. Deltas before the oldest such version are
// dropped; so are the oldest ones when the journal exceeds Config.JournalBytes,
// whoever needs them: a session whose history is gone gets ErrHistoryGone, and
// says BYE, but never a wrong number.
//
// # Changing
//
// Mailbox.Change makes a call of backend.Writer and installs what its answer tells of the mailbox: one call for a command, and
// the version after it has the change. The answer is a step from the position that the call was given. If
// somebody has refreshed meanwhile it is dropped, and storage is asked: no step is taken twice.
//
// Claims say which session has which messages \Recent (recent.go).
//
// # Learning of changes
//
// Refresh asks storage what changed since the position of the current version:
// one call at a time per mailbox, shared by all who wait. A mailbox with a watch
// (backend.Watcher) is known to be clean until the kernel says otherwise, and
// Refresh of a clean mailbox calls nobody. Before a mailbox is called clean,
// the registry's poll function reads what the kernel has queued, so the
// answer is exact at the moment of the question.
//
// The same watches tell which STATUS values are still exact (status.go), of mailboxes that need not be open, and tell who follows such mailboxes (follow.go).
//
// If storage has lost its history (Reset), the difference is computed from its
// snapshot. If the mailbox was recreated (another UIDVALIDITY or MailboxID) or deleted, the entry is
// detached: its sessions get ErrReplaced or ErrDeleted, new ones a new entry.
package mailbox

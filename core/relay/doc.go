// Package relay carries the news of changed mailboxes between this server and its notify plugin.
//
//	mailbox.Registry ─ OnNews ─▶ queue ─ one batch at a time ─▶ Publish ─▶ plugin ─▶ other servers, webhooks …
//	sessions look at storage ◀─ imap.Server.Elsewhere ◀─ Listen ◀─ plugin ◀─ other servers
//
// Rules:
//
//   - Telling never blocks, and is never waited for: a change goes into a queue that holds one element for each mailbox. Further changes of it
//     are joined with it. Beyond Config.Queue mailboxes the one that has waited longest is dropped, and counted; the plugin is told the number.
//   - What a change does not say itself (it was made in a mailbox that is not open) storage is asked for, once for all mailboxes of a user in a batch.
//   - A batch that failed goes back into the queue, and is tried again after a pause, unless the plugin refuses it as such.
//   - What is heard is a reason to look, and nothing else. A refresh that finds no more than what was heard is no news: it is not told on, or
//     two servers would tell each other for ever.
//   - When hearing was interrupted, every mailbox is taken for changed; and again when it has begun anew, if the plugin says when that is.
//
// Two goroutines at the most, whatever the number of sessions. An idle server wakes neither.
package relay

package session

import "context"

// Protocol is the protocol engine (core/imap) as the session engine calls it.
//
// All methods get a *Session that the caller owns for the duration of the call:
// nobody else reads or writes that session meanwhile. Methods marked "loop"
// run on an event loop's goroutine, or on a worker for what a client sent behind a command that
// needed one: they must not block, call a plugin, or take
// more than some ten microseconds. Run, RunLiteral, RunLine, Event and Timeout run on a worker: they may
// block, and a blocked Session.Write gives the worker's slot back while it waits.
type Protocol interface {
	// Greet is called after accept, and for implicit TLS after the handshake (loop).
	Greet(s *Session)

	// Literal decides about a literal that was announced at the end of cmd,
	// before any of its size bytes are read (loop). cmd is what was received of the
	// command so far, up to and including "{size}" or "{size+}" (nonSync) and its CRLF, but for
	// the literals that are in spool files (Session.Bodies). Before login, sizes beyond MaxLiteralUnauth go to Refuse at once.
	// LiteralAccept: the engine sends "+ OK" if it is synchronizing, and collects it. Beyond
	// MaxLiteral or MaxCommand it calls Refuse instead.
	// LiteralSpool: the same, but the literal is a body, which may have MaxMessage octets and be in a file.
	// LiteralAsk: nothing was decided or written; RunLiteral decides.
	// LiteralRefuse: the protocol has written its tagged answer itself; the engine
	// drops the command (for nonSync it reads and drops the literal's bytes
	// and the rest of the command, buffering nothing).
	Literal(s *Session, cmd []byte, size uint64, nonSync bool) LiteralAnswer

	// RunLiteral is Literal on a worker. It does not return LiteralAsk.
	RunLiteral(ctx context.Context, s *Session, cmd []byte, size uint64, nonSync bool) LiteralAnswer

	// Quick answers a complete command from the record alone, if it can (loop).
	// false: nothing was written or changed, and Run is called with the same cmd.
	// cmd includes literals and the final CRLF (or LF); it is valid only during the call.
	Quick(s *Session, cmd []byte) bool

	// Run executes a complete command. ctx ends when the client is gone or
	// the server stops. cmd is valid only during the call.
	Run(ctx context.Context, s *Session, cmd []byte)

	// Line gets one line (with its line end) of a session in ModeLine: a SASL response, or DONE
	// (loop). false: Run the protocol's RunLine.
	Line(s *Session, line []byte) bool

	// RunLine is Line on a worker.
	RunLine(ctx context.Context, s *Session, line []byte)

	// Event is called after Engine.SignalMailbox for a session listed at that mailbox
	// and not in a command: the mailbox has a new version (worker). Sessions that
	// must not get untagged data now return at once.
	Event(ctx context.Context, s *Session)

	// EventWanted reports whether Event has anything to do for the session, from its record alone (loop or
	// worker). It lets the engine skip sleeping sessions that only learn of changes at their next command.
	EventWanted(s *Session) bool

	// QuickTimeout is called when the session's deadline (SetDeadline) has passed and it is not in a command, if it can be dealt
	// with from the record alone (loop). false: nothing was written or changed, and Timeout is called.
	QuickTimeout(s *Session) bool

	// Timeout is QuickTimeout on a worker. A session that shall end calls Close.
	Timeout(ctx context.Context, s *Session)

	// Refuse is called for input that is no command: a line, literal or command that is
	// too long (loop). The bytes are dropped by the engine. head is the beginning of the
	// refused command, from which a tag may be read (at most 1 KiB, valid only during the call);
	// limit names the setting. A refused literal of a synchronizing kind is not asked for, but
	// for RefuseSpoolFailed, which may come in the middle of a literal.
	Refuse(s *Session, why Refusal, head []byte, limit string)

	// Shutdown is called when the server drains and the session is in no command: the protocol
	// writes its farewell and calls Close (loop).
	Shutdown(s *Session)

	// Evict is called for a session that has not logged in (State.User is 0), and is ended because of limit: the protocol writes
	// its farewell (loop).
	Evict(s *Session, limit string)

	// Full returns the line that is sent, unencrypted, to a connection for which there is no
	// room, before it is closed; nil sends nothing. limit names the setting that refused it.
	// There is no session yet. Safe for concurrent use.
	Full(limit string) []byte

	// Closed is the last call for a session, whoever closed it: give back what it holds (mailbox, user).
	// Nothing can be written any more (loop or worker).
	Closed(s *Session)
}

// LiteralAnswer is what Protocol.Literal decides.
type LiteralAnswer uint8

// Literal answers.
const (
	LiteralAccept LiteralAnswer = iota
	LiteralRefuse
	LiteralSpool
	LiteralAsk
)

// Refusal says what was wrong with input that never became a command.
type Refusal uint8

// Refusals.
const (
	RefuseLineTooLong     Refusal = iota // a line without end
	RefuseCommandTooLong                 // line and literals together
	RefuseLiteralTooLong                 // one literal, beyond what the settings allow for anybody
	RefuseMessageTooLarge                // a body, beyond MaxMessage
	RefuseSpoolFull                      // a body for which there is no room now
	RefuseSpoolFailed                    // a body that could not be written to its file
)

// Mode says what the next input of a session is.
type Mode uint8

// Modes.
const (
	ModeCommand Mode = iota // commands with literals
	ModeLine                // single lines, given to Protocol.Line (SASL, IDLE)
	ModeHold                // nothing is read until Timeout sets another mode (a refused login)
)

package config

import (
	"math"
	"time"
)

// Limits is [limits]. Whoever refuses something for one of them names its key.
type Limits struct {
	Loops       int           // event loops; 0 = one per core
	Workers     int           // commands that run at once; 0 = 4 per core
	UserWorkers int           // of these, for the commands of one user; 0 = half
	TimeSlice   time.Duration // of a long command while others wait for a worker
	MaxSessions int           // 0 = as the number of open files allows

	AddressSessions                int // connections of one address; 0 = any number
	UnauthenticatedSessions        int // connections that have not logged in; 0 = any number
	UnauthenticatedAddressSessions int // of these, of one address; 0 = any number
	UserSessions                   int // sessions of one user; 0 = any number
	UserAddressSessions            int // of these, from one address; 0 = any number
	LoginRate                      int // logins of one address in a second; 0 = any number

	UnauthenticatedLine    int    // bytes
	UnauthenticatedLiteral int    // bytes
	Line                   int    // bytes
	Literal                int    // bytes
	Command                int    // bytes of a line with its literals
	Message                int    // bytes of a message that is appended
	SpoolDir               string // absolute; where messages are while they arrive, "" = $TMPDIR or /var/tmp
	SpoolAbove             int    // bytes of a message up to which it is kept in memory instead
	SpoolMemory            int    // bytes of all messages above that which are kept in memory nevertheless, one at most an eighth
	Spool                  int    // bytes of all messages in SpoolDir
	SpoolFiles             int    // commands with messages there; 0 = a 16th of the number of open files, at most 4096
	Output                 int    // bytes that wait for a client
	Nesting                int    // parentheses within parentheses
	ListItems              int    // elements of a list, ranges of a sequence set
	BadCommands            int    // malformed commands in a row before BYE
	CommandMessages        int    // messages that a command processes; 0 = any number
	SaveMessages           int    // messages that a command saves; 0 = any number
	SavedResult            int    // bytes of what SEARCH RETURN (SAVE) keeps for a session
	Contexts               int    // searches with UPDATE of one session
	ContextBytes           int    // bytes of these with their results
	SearchMailboxes        int    // that one ESEARCH searches
	SortMemory             int    // bytes of what one SORT or THREAD compares
	NotifySet              int    // bytes of what a session's NOTIFY SET asks for
	NotifyUserMailboxes    int    // mailboxes of one user that NOTIFY watches
	NotifyMailboxes        int    // mailboxes that NOTIFY watches
	KeywordLength          int    // bytes of a keyword that a client sets
	MetadataValue          int    // bytes of an annotation that a client sets

	CompressedSessions int // sessions that have issued COMPRESS; each keeps at most some 33 KiB

	Handshakes        int // TLS handshakes in progress
	HandshakeTimeout  time.Duration
	SlowClientTimeout time.Duration // of a client that reads nothing while output waits, or stops in the middle of a large message
	HangupGrace       time.Duration // for a command whose client has closed its sending side

	DrainTimeout time.Duration // for commands under way when the server ends

	MailboxJournal      int           // bytes of the journal of one mailbox
	MailboxWarm         time.Duration // how long a mailbox stays open after its last use
	MailboxPoll         time.Duration // between questions for changes where there is no watch
	ViewCache           int           // bytes of all open mailboxes; 0 = no bound
	StatusCache         int           // mailboxes whose STATUS values are remembered
	PluginMaxMessages   int           // of one mailbox
	PluginMaxMailboxes  int           // of one listing
	PluginMaxAnswer     int           // bytes of its names, or of annotations
	PluginAnswerTimeout time.Duration // until the next message of an answer
}

// limit is one key of [limits].
type limit struct {
	key       string
	number    *int
	time      *time.Duration
	path      *string
	bytes     bool  // number may be written as a size
	def       int64 // in units or nanoseconds
	low, high int64
}

func (l *Limits) list() []limit {
	const kib, mib = 1 << 10, 1 << 20
	const maxCount = 1<<20 - 1 // tally.Max
	return []limit{
		{key: "loops", number: &l.Loops, high: 4096},
		{key: "workers", number: &l.Workers, high: 1 << 20},
		{key: "user_workers", number: &l.UserWorkers, high: 1 << 20},
		{key: "time_slice", time: &l.TimeSlice, def: int64(10 * time.Millisecond), low: int64(time.Millisecond)},
		{key: "max_sessions", number: &l.MaxSessions, high: 1 << 30},
		{key: "address_sessions", number: &l.AddressSessions, high: maxCount},
		{key: "unauthenticated_sessions", number: &l.UnauthenticatedSessions, def: 16384, high: 1 << 30},
		{key: "unauthenticated_address_sessions", number: &l.UnauthenticatedAddressSessions, def: 1000, high: maxCount},
		{key: "user_sessions", number: &l.UserSessions, high: 1 << 30},
		{key: "user_address_sessions", number: &l.UserAddressSessions, def: 100, high: maxCount},
		{key: "login_rate", number: &l.LoginRate, high: 1 << 20},
		{key: "unauthenticated_line", number: &l.UnauthenticatedLine, bytes: true, def: 8 * kib, low: 256, high: mib},
		{key: "unauthenticated_literal", number: &l.UnauthenticatedLiteral, bytes: true, def: 4 * kib, low: 1, high: mib},
		{key: "line", number: &l.Line, bytes: true, def: 64 * kib, low: 1024, high: 1 << 30},
		{key: "literal", number: &l.Literal, bytes: true, def: mib, low: 1, high: 1 << 30},
		{key: "command", number: &l.Command, bytes: true, def: 2 * mib, low: 1024, high: math.MaxInt32},
		{key: "message", number: &l.Message, bytes: true, def: 150 * mib, low: 64 * kib, high: math.MaxInt32},
		{key: "spool_dir", path: &l.SpoolDir},
		{key: "spool_above", number: &l.SpoolAbove, bytes: true, def: 64 * kib, low: 1, high: 1 << 30},
		{key: "spool_memory", number: &l.SpoolMemory, bytes: true, def: 8 * mib, high: 1 << 40},
		{key: "spool", number: &l.Spool, bytes: true, def: 1 << 30, low: 64 * kib, high: math.MaxInt},
		{key: "spool_files", number: &l.SpoolFiles, high: 1 << 30},
		{key: "output", number: &l.Output, bytes: true, def: mib, low: 4 * kib, high: 1 << 30},
		{key: "nesting", number: &l.Nesting, def: 128, low: 1, high: 1024},
		{key: "list_items", number: &l.ListItems, def: 16384, low: 1, high: 1 << 24},
		{key: "command_messages", number: &l.CommandMessages, high: 1 << 30},
		{key: "save_messages", number: &l.SaveMessages, high: 1 << 30},
		{key: "saved_result", number: &l.SavedResult, bytes: true, def: 64 * kib, low: 64, high: 1 << 30},
		{key: "contexts", number: &l.Contexts, def: 10, low: 1, high: 1 << 16},
		{key: "context_bytes", number: &l.ContextBytes, bytes: true, def: 64 * kib, low: 1024, high: 1 << 30},
		{key: "search_mailboxes", number: &l.SearchMailboxes, def: 1000, low: 1, high: 1 << 24},
		{key: "sort_memory", number: &l.SortMemory, bytes: true, def: 256 * 1024 * kib, low: 1024, high: 1 << 40},
		{key: "notify_set", number: &l.NotifySet, bytes: true, def: 4 * kib, low: 16, high: mib},
		{key: "notify_user_mailboxes", number: &l.NotifyUserMailboxes, def: 1000, low: 1, high: 1 << 24},
		{key: "notify_mailboxes", number: &l.NotifyMailboxes, def: 1 << 18, low: 1, high: 1 << 28},
		{key: "keyword_length", number: &l.KeywordLength, def: 50, low: 1, high: 4096},
		{key: "metadata_value", number: &l.MetadataValue, bytes: true, def: 64 * kib, low: 1024, high: mib},
		{key: "bad_commands", number: &l.BadCommands, def: 20, low: 1, high: 1 << 20},
		{key: "compressed_sessions", number: &l.CompressedSessions, def: 1 << 16, low: 1, high: 1 << 30},
		{key: "handshakes", number: &l.Handshakes, def: 1024, low: 1, high: 1 << 20},
		{key: "handshake_timeout", time: &l.HandshakeTimeout, def: int64(30 * time.Second), low: int64(time.Second)},
		{key: "slow_client_timeout", time: &l.SlowClientTimeout, def: int64(5 * time.Minute), low: int64(time.Second)},
		{key: "hangup_grace", time: &l.HangupGrace, def: int64(10 * time.Second), low: int64(time.Second)},
		{key: "drain_timeout", time: &l.DrainTimeout, def: int64(10 * time.Second)},
		{key: "mailbox_journal", number: &l.MailboxJournal, bytes: true, def: mib, low: kib, high: 1 << 30},
		{key: "mailbox_warm", time: &l.MailboxWarm, def: int64(5 * time.Second)},
		{key: "mailbox_poll", time: &l.MailboxPoll, def: int64(30 * time.Second), low: int64(time.Second)},
		{key: "view_cache", number: &l.ViewCache, bytes: true, def: 256 * mib, high: math.MaxInt},
		{key: "status_cache", number: &l.StatusCache, def: 8192, high: 1 << 24},
		{key: "plugin_max_messages", number: &l.PluginMaxMessages, def: 20_000_000, low: 1, high: math.MaxInt32},
		{key: "plugin_max_mailboxes", number: &l.PluginMaxMailboxes, def: 1_000_000, low: 1, high: math.MaxInt32},
		{key: "plugin_max_answer", number: &l.PluginMaxAnswer, bytes: true, def: 256 * mib, low: mib, high: math.MaxInt},
		{key: "plugin_answer_timeout", time: &l.PluginAnswerTimeout, def: int64(5 * time.Minute)},
	}
}

func readLimits(t *table) Limits {
	var l Limits
	for _, spec := range l.list() {
		switch {
		case spec.time != nil:
			*spec.time = t.duration(spec.key, time.Duration(spec.def))
			if *spec.time < time.Duration(spec.low) {
				t.fail(spec.key, "must be %v at least", time.Duration(spec.low))
			}
		case spec.path != nil:
			*spec.path = t.doc.absolute(t.text(spec.key, ""))
		case spec.bytes:
			*spec.number = int(t.size(spec.key, spec.def, spec.low, spec.high))
		default:
			*spec.number = t.integer(spec.key, int(spec.def), int(spec.low), int(spec.high))
		}
	}
	if l.Line > l.Command || l.UnauthenticatedLine > l.Command {
		t.fail("command", "must not be smaller than line and unauthenticated_line")
	}
	if l.Message > l.Spool {
		t.fail("spool", "must not be smaller than message")
	}
	t.done()
	return l
}

package imap

import (
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
)

// Config holds the settings of the protocol. Zero durations switch what they
// are for off. DefaultConfig has usable values.
type Config struct {
	Greeting string // text of the greeting, printable ASCII
	Name     string // answered to ID (RFC 2971), with
	Version  string // this

	// AllowPlaintextAuth permits passwords over a connection without TLS.
	AllowPlaintextAuth bool
	// Mechanisms are the SASL mechanisms in the order in which they are announced, upper case: PLAIN, LOGIN, and those of the auth plugin.
	Mechanisms []string
	// TrustLocal takes a connection whose two ends have the same address to be
	// as safe as TLS, as Dovecot does.
	TrustLocal bool

	UserSessions        int // sessions of one user, [limits] user_sessions; 0 = any number
	UserAddressSessions int // sessions of one user from one address, [limits] user_address_sessions; 0 = any number
	LoginRate           int // logins of one address in a second, [limits] login_rate; 0 = any number

	MaxBad           int           // malformed commands in a row before BYE, [limits] bad_commands
	AuthFailureDelay time.Duration // between a wrong password and the answer; it doubles with each failure of an address in a row
	MaxFailureDelay  time.Duration // up to this
	LoginTimeout     time.Duration // from the connection to the login
	Autologout       time.Duration // without any input; RFC 3501 §5.4 wants 30 minutes at least
	IdleKeepalive    time.Duration // between the lines that keep an IDLE's connection open

	// ProgressInterval is how often a client that waits for a command is told how far that is; 0 = never.
	ProgressInterval time.Duration
	clock            *progressClock // nil: the system's

	CommandMessages     int // messages that a command processes, [limits] command_messages; 0 = any number
	SaveMessages        int // messages that a command saves, [limits] save_messages; 0 = any number
	SavedResult         int // bytes of what SEARCH RETURN (SAVE) keeps for a session, [limits] saved_result; 0 = any
	Contexts            int // searches with UPDATE of one session, [limits] contexts; 0 = any number
	ContextBytes        int // bytes of these with their results, [limits] context_bytes; 0 = any
	SearchMailboxes     int // that one ESEARCH searches, [limits] search_mailboxes; 0 = any number
	SortMemory          int // bytes of what one SORT or THREAD compares, [limits] sort_memory; 0 = any
	NotifySet           int // bytes of the byte form of a session's NOTIFY set, [limits] notify_set; 0 = any
	NotifyUserMailboxes int // mailboxes of one user that NOTIFY watches, [limits] notify_user_mailboxes; 0 = any number
	NotifyMailboxes     int // mailboxes that NOTIFY watches, [limits] notify_mailboxes; 0 = any number

	URLAuthHost   string   // host of this server in URLs of URLAUTH (RFC 4467); "" = there is no URLAUTH
	URLAuthPort   int      // the port there
	URLAuthSubmit []string // users that are submission servers: they may use URLs that are made for "submit+"

	MetadataValue int // bytes of a value of SETMETADATA, [limits] metadata_value; 0 = any
	KeywordLength int // bytes of a keyword that a client sets, [limits] keyword_length; 0 = any

	// AppendLimit is the size in bytes of the largest message that the session engine takes (session.Config.MaxMessage), 0 = not told.
	AppendLimit uint64

	Limits     imapwire.Limits
	Fetch      FetchConfig
	Namespaces []backend.Namespace // empty: one with INBOX in it, separator "/"
	Mailboxes  mailbox.Config
}

// DefaultConfig returns the settings that apply where nothing else is configured.
func DefaultConfig() Config {
	return Config{
		Greeting:            "roost ready.",
		Name:                "roost",
		Mechanisms:          []string{"PLAIN", "LOGIN"},
		TrustLocal:          true,
		MaxBad:              20,
		KeywordLength:       50,
		MetadataValue:       64 << 10,
		URLAuthPort:         143,
		NotifySet:           4096,
		NotifyUserMailboxes: 1000,
		NotifyMailboxes:     1 << 18,
		SavedResult:         64 << 10,
		SortMemory:          256 << 20,
		SearchMailboxes:     1000,
		Contexts:            10,
		ContextBytes:        64 << 10,
		AuthFailureDelay:    2 * time.Second,
		MaxFailureDelay:     15 * time.Second,
		LoginTimeout:        3 * time.Minute,
		Autologout:          30 * time.Minute,
		IdleKeepalive:       2 * time.Minute,
		ProgressInterval:    10 * time.Second,
		Limits:              imapwire.DefaultLimits,
		Fetch:               DefaultFetchConfig,
		Mailboxes:           mailbox.DefaultConfig,
	}
}

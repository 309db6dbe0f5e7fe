package backend

import (
	"context"
	"slices"
)

// Kind is a plugin kind.
type Kind string

// The plugin kinds.
const (
	KindStorage     Kind = "storage"
	KindAuth        Kind = "auth"
	KindHibernation Kind = "hibernation"
	KindNotify      Kind = "notify"
	KindState       Kind = "state"
)

// Capabilities that a plugin may announce in Info.
const (
	// CapWatchFD: storage implements Watcher.
	CapWatchFD = "watch-fd"
	// CapWrite: storage implements Writer. Info is asked before Configure: with Config.ReadOnly the plugin
	// refuses writes (KindReadOnly), and core takes CapWrite as not announced.
	CapWrite = "write"
	// CapModSeqs: storage implements ModSeqs.
	CapModSeqs = "modseqs"
	// CapMetadata: storage implements Metadata.
	CapMetadata = "metadata"
	// CapQuota: storage implements Quota.
	CapQuota = "quota"
	// CapACL: storage implements ACL.
	CapACL = "acl"
	// CapUserLookup: auth implements UserLookup.
	CapUserLookup = "user-lookup"
	// CapLanes: calls can be made over lanes (package core/pluginrpc/lane). Of plugins of any kind; not of the implementation, but of the process around it.
	CapLanes = "lanes"
	// CapLaneMemory: the process takes the memory that comes with a lane. Only with CapLanes, and like it.
	CapLaneMemory = "lane-memory"
)

// Info describes a plugin. It is constant for the life of the process, but for Capabilities, from which Configure may take some.
type Info struct {
	Kind         Kind
	Name         string // "mdbox"
	Version      string // of the plugin, semver
	Description  string // one line, for "roost plugin list"
	Capabilities []string
	Options      []Option // the config schema, in the order in which they are documented
}

// Has reports whether the capability is announced.
func (i Info) Has(capability string) bool {
	for _, c := range i.Capabilities {
		if c == capability {
			return true
		}
	}
	return false
}

// Without returns i without the capability.
func (i Info) Without(capability string) Info {
	i.Capabilities = slices.DeleteFunc(slices.Clone(i.Capabilities), func(c string) bool { return c == capability })
	return i
}

// OptionType is the TOML type that an option takes.
type OptionType string

// Option types.
const (
	OptionString   OptionType = "string"
	OptionBool     OptionType = "bool"
	OptionInt      OptionType = "int"
	OptionSize     OptionType = "size"     // Dovecot's size syntax, "10M", or a plain number of bytes
	OptionDuration OptionType = "duration" // "5s"
	OptionStrings  OptionType = "strings"  // array of strings
)

// Option is one key below options. of the plugin's TOML table.
type Option struct {
	Name     string
	Type     OptionType
	Required bool
	Default  string // as written in TOML, "" = none
	Help     string // one line
	Secret   bool   // never shown by "config show" or logged
}

// Config is what Configure receives.
type Config struct {
	// Options holds the values below options., already checked against
	// Info.Options: string, bool, int64 or []string; sizes and durations as
	// strings in their syntax. Defaults are not filled in.
	Options map[string]any
	// Namespaces is set for storage plugins only. Empty means one
	// namespace with default values and INBOX in it.
	Namespaces []Namespace
	// BaseDir is the directory of the configuration file; relative paths
	// in options are relative to it.
	BaseDir string
	// ReadOnly: the plugin must not change anything on disk.
	ReadOnly bool
}

// Namespace is a [[namespace]] table (Dovecot's namespace settings).
type Namespace struct {
	Name          string // unique; "" is allowed for one
	Prefix        string // "" or ends in Separator
	Separator     byte   // what clients see; '/' if not configured
	Inbox         bool   // INBOX is here
	List          bool   // children are listed
	Subscriptions bool   // has its own subscriptions file
	Location      string // mail_location of its own, "" = the storage plugin's
	Public        bool   // nobody's: rights come from access control lists only
	Mailboxes     []NamespaceMailbox
}

// NamespaceMailbox is one element of a namespace's mailbox array.
type NamespaceMailbox struct {
	Name       string // below the prefix
	SpecialUse string // `\Sent`, "" = none
	Auto       string // "no", "create", "subscribe"
}

// Plugin is the base that every kind implements beside its own interface.
type Plugin interface {
	// Info may be called before Configure, and is asked again after it: a capability for which nothing is configured is
	// announced before, and left out then.
	Info() Info
	// Configure is called once, before any call of the kind's interface. It
	// must not start work that outlives an error.
	Configure(ctx context.Context, c Config) error
	// Health returns nil if the plugin can serve.
	Health(ctx context.Context) error
	// Close ends everything that Configure started, and returns after it ended.
	Close() error
}

package mdbox

import (
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
)

// The options of all formats, under Dovecot's names where Dovecot has the setting.
var options = []backend.Option{
	{Name: "mail_location", Type: backend.OptionString,
		Help: "where the mail is, in Dovecot's syntax; a user's field \"mail\" takes precedence"},
	{Name: "mail_home", Type: backend.OptionString, Help: "home directory of users without a field \"home\"; may use variables"},
	{Name: "mail_uid", Type: backend.OptionString, Help: "user that owns the mail, name or number (%i)"},
	{Name: "mail_gid", Type: backend.OptionString, Help: "group that owns the mail, name or number (%{gid})"},
	{Name: "mail_attachment_dir", Type: backend.OptionString, Help: "directory of single-instance attachments; may use variables"},
	{Name: "mail_attribute_dict", Type: backend.OptionString,
		Help: "file of annotations (METADATA), as file:%h/dovecot-attributes; unset: there are none"},
	{Name: "max_attributes", Type: backend.OptionInt, Default: "1000", Help: "annotations of one mailbox"},
	{Name: "quota", Type: backend.OptionString, Help: "quota root, as count:User quota; unset: users may have any amount of mail"},
	{Name: "quota_rule", Type: backend.OptionStrings, Help: "limits, as [\"*:storage=1G:messages=100000\", \"Trash:storage=+10%\"]; a user's fields quota_rule, quota_rule2, … take precedence"},
	{Name: "quota_vsizes", Type: backend.OptionBool, Default: "true", Help: "must be true"},
	{Name: "quota_exceeded_message", Type: backend.OptionString, Default: "Quota exceeded (mailbox for user is full)", Help: "what a client is told who has too much"},
	{Name: "acl", Type: backend.OptionString, Help: "access control lists, as vfile or vfile:PATH with a file of global lists; unset: everybody may do everything with his mail"},
	{Name: "acl_anyone", Type: backend.OptionString, Default: "deny", Help: "allow: clients may give rights to anyone and authenticated"},
	{Name: "mailbox_list_index", Type: backend.OptionBool, Default: "true",
		Help: "answer STATUS from dovecot.list.index when it is up to date"},

	{Name: "max_open_mailboxes", Type: backend.OptionInt, Default: "1000", Help: "mailboxes whose state is kept in memory"},
	{Name: "max_open_stores", Type: backend.OptionInt, Default: "1000", Help: "users whose mailbox list and map are kept in memory"},
	{Name: "max_open_files", Type: backend.OptionInt, Default: "256", Help: "mail and cache files kept open, of all users together"},
	{Name: "max_mailboxes", Type: backend.OptionInt, Default: "100000", Help: "mailboxes of one user that are listed"},
	{Name: "close_idle", Type: backend.OptionDuration, Default: "5s", Help: "mailboxes, stores and files that were not used for so long are closed; 0 = only the limits count"},
	{Name: "groups_ttl", Type: backend.OptionDuration, Default: "10m", Help: "how long the groups of an owner of mail are remembered, if the plugin runs as root: the system may ask a directory server for them. `roost plugin reload` forgets them; 0 = not at all"},
	{Name: "cache_bytes", Type: backend.OptionSize, Default: "256M", Help: "memory for the state of mailboxes and stores"},
	{Name: "max_message_size", Type: backend.OptionSize, Default: "1G", Help: "largest message that is read, after decompression"},

	{Name: "mail_fsync", Type: backend.OptionString, Default: "optimized", Help: "optimized, always or never"},
	{Name: "lock_method", Type: backend.OptionString, Default: "fcntl", Help: "fcntl, flock or dotlock, as in Dovecot"},
	{Name: "mail_max_lock_timeout", Type: backend.OptionDuration, Default: "0", Help: "longest wait for a lock, 0 = Dovecot's own"},
	{Name: "dotlock_use_excl", Type: backend.OptionBool, Default: "true", Help: "make lock files with O_EXCL"},
	{Name: "mdbox_rotate_size", Type: backend.OptionSize, Default: "10M", Help: "an m.N file larger than this gets no more mail"},
	{Name: "mdbox_rotate_interval", Type: backend.OptionDuration, Default: "0", Help: "an m.N file older than this gets no more mail"},
	{Name: "mdbox_preallocate_space", Type: backend.OptionBool, Default: "false", Help: "reserve space for new m.N files"},
	{Name: "mail_save_crlf", Type: backend.OptionBool, Default: "false", Help: "store mail with CRLF line ends; no effect on mdbox and sdbox, as in Dovecot"},
	{Name: "mail_attachment_hash", Type: backend.OptionString, Default: "%{sha1}", Help: "no effect: attachments of new mail stay in the message"},
	{Name: "mail_attachment_min_size", Type: backend.OptionSize, Default: "128k", Help: "no effect: attachments of new mail stay in the message"},
	{Name: "mail_attachment_fs", Type: backend.OptionString, Default: "sis posix", Help: "no effect: attachments of new mail stay in the message"},
	{Name: "purge_interval", Type: backend.OptionDuration, Default: "1d",
		Help: "from an expunge to the removal of expunged mail from m.N files in the background; 0 = never (roost mail purge)"},
	{Name: "zlib_save", Type: backend.OptionString, Help: "compress new mail: gz, lz4 or zstd"},
	{Name: "mailbox_list_index_include_inbox", Type: backend.OptionBool, Default: "false",
		Help: "no effect: dovecot.list.index is left to Dovecot"},
	{Name: "mail_index_rewrite_min_log_bytes", Type: backend.OptionSize, Default: "8k", Help: "as in Dovecot"},
	{Name: "mail_index_rewrite_max_log_bytes", Type: backend.OptionSize, Default: "128k", Help: "as in Dovecot"},
	{Name: "mail_index_log_rotate_min_size", Type: backend.OptionSize, Default: "32k", Help: "as in Dovecot"},
	{Name: "mail_index_log_rotate_max_size", Type: backend.OptionSize, Default: "1M", Help: "as in Dovecot"},
	{Name: "mail_index_log_rotate_min_age", Type: backend.OptionDuration, Default: "5m", Help: "as in Dovecot"},
	{Name: "mail_index_log2_max_age", Type: backend.OptionDuration, Default: "2d", Help: "as in Dovecot"},
	{Name: "mail_cache_fields", Type: backend.OptionString, Default: "flags", Help: "as in Dovecot"},
	{Name: "mail_always_cache_fields", Type: backend.OptionString, Help: "as in Dovecot"},
	{Name: "mail_never_cache_fields", Type: backend.OptionString, Default: "imap.envelope", Help: "as in Dovecot"},
}

// optionsOf returns the options of a plugin for a format.
func optionsOf(f mdbox.Format) []backend.Option {
	not := map[mdbox.Format][]string{
		mdbox.FormatSdbox:   {"mdbox_", "purge_interval"},
		mdbox.FormatMaildir: {"mdbox_", "purge_interval", "mail_attachment_", "zlib_save"},
	}[f]
	return slices.DeleteFunc(slices.Clone(options), func(o backend.Option) bool {
		return slices.ContainsFunc(not, func(prefix string) bool { return strings.HasPrefix(o.Name, prefix) })
	})
}

// choices lists the values of options that take one of a few.
var choices = map[string][]string{
	"mail_fsync":         {"optimized", "always", "never"},
	"acl_anyone":         {"deny", "allow"},
	"lock_method":        {"fcntl", "flock", "dotlock"},
	"mail_attachment_fs": {"sis posix", "posix"},
	"zlib_save":          {"", "gz", "lz4", "zstd"},
}

// settings are the options that reading needs, with defaults filled in.
type settings struct {
	location, home, attachments string
	attributes                  string // path with variables, "" = not configured
	maxAttributes               int
	quota                       *quotaRoot   // nil: not configured
	acl                         *aclSettings // nil: not configured
	uid, gid                    string       // decimal, "" = not configured
	listIndex                   bool
	maxMailboxes, maxStores     int
	maxFiles, maxTree           int
	cacheBytes, maxMessage      int64
	write                       mdbox.Writing
	purgeInterval, closeIdle    time.Duration
	groupsTTL                   time.Duration
}

// parseSettings checks all options of a format. Its error names the option.
func parseSettings(f mdbox.Format, opts map[string]any) (_ settings, err error) {
	p := optionParser{given: opts}
	for name := range opts {
		if !slices.ContainsFunc(optionsOf(f), func(o backend.Option) bool { return o.Name == name }) {
			p.fail(name, "unknown option")
		}
	}
	values := map[string]any{}
	for _, o := range options {
		values[o.Name] = p.value(o)
	}
	s := settings{
		location:     values["mail_location"].(string),
		home:         values["mail_home"].(string),
		attachments:  values["mail_attachment_dir"].(string),
		listIndex:    values["mailbox_list_index"].(bool),
		maxMailboxes: int(p.positive("max_open_mailboxes", values)),
		maxStores:    int(p.positive("max_open_stores", values)),
		maxFiles:     int(p.positive("max_open_files", values)),
		maxTree:      int(p.positive("max_mailboxes", values)),
		cacheBytes:   p.positive("cache_bytes", values),
		maxMessage:   p.positive("max_message_size", values),
	}
	s.quota, s.acl = p.parseQuota(values), p.parseACL(values)
	s.maxAttributes = int(p.positive("max_attributes", values))
	if uri := values["mail_attribute_dict"].(string); uri != "" {
		if s.attributes, err = parseAttributeDict(uri); err != nil {
			p.fail("mail_attribute_dict", "%v", err)
		}
	}
	s.uid = p.id("mail_uid", values["mail_uid"].(string), userID)
	s.gid = p.id("mail_gid", values["mail_gid"].(string), groupID)
	s.purgeInterval = values["purge_interval"].(time.Duration)
	s.closeIdle = values["close_idle"].(time.Duration)
	s.groupsTTL = values["groups_ttl"].(time.Duration)
	if p.err == nil {
		s.write = p.parseWriting(values)
	}
	return s, p.err
}

// optionParser keeps the first error.
type optionParser struct {
	given map[string]any
	err   error
}

func (p *optionParser) fail(name, format string, args ...any) {
	if p.err == nil {
		p.err = backend.OptionErrorf(name, format, args...)
	}
}

// value returns an option as string, []string, bool, int64 (also sizes) or time.Duration.
func (p *optionParser) value(o backend.Option) any {
	given, ok := p.given[o.Name]
	if !ok {
		given = o.Default
		if o.Type == backend.OptionBool {
			given = o.Default == "true"
		}
	}
	switch o.Type {
	case backend.OptionBool:
		b, ok := given.(bool)
		if !ok {
			p.fail(o.Name, "must be true or false")
		}
		return b
	case backend.OptionInt, backend.OptionSize:
		n, err := parseSize(given)
		if err != nil {
			p.fail(o.Name, "%v", err)
		}
		return n
	case backend.OptionDuration:
		d, err := parseDuration(given)
		if err != nil {
			p.fail(o.Name, "%v", err)
		}
		return d
	}
	if o.Type == backend.OptionStrings {
		list, ok := given.([]string)
		if !ok && given != "" {
			p.fail(o.Name, "must be an array of strings")
		}
		return list
	}
	s, ok := given.(string)
	if !ok {
		p.fail(o.Name, "must be a string")
	}
	if c := choices[o.Name]; c != nil && !slices.Contains(c, s) {
		p.fail(o.Name, "must be one of %q, not %q", c, s)
	}
	return s
}

func (p *optionParser) positive(name string, values map[string]any) int64 {
	n := values[name].(int64)
	if n <= 0 {
		p.fail(name, "must be positive")
	}
	return n
}

func (p *optionParser) id(name, value string, lookup func(string) (string, error)) string {
	if _, err := strconv.ParseUint(value, 10, 32); err == nil || value == "" {
		return value
	}
	id, err := lookup(value)
	if err != nil {
		p.fail(name, "%v", err)
	}
	return id
}

func userID(name string) (string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return "", err
	}
	return u.Uid, nil
}

func groupID(name string) (string, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return "", err
	}
	return g.Gid, nil
}

// parseSize takes a number, or Dovecot's size syntax: a number with B, K, M, G or T
// in either case (dovecot src/lib/str-parse.c, str_parse_get_size).
func parseSize(v any) (int64, error) {
	if n, ok := v.(int64); ok {
		return n, nil
	}
	s, _ := v.(string)
	n, err := backend.ParseSize(s)
	if err != nil {
		return 0, fmt.Errorf("%q %w", s, err)
	}
	return n, nil
}

// parseDuration takes Go's syntax ("1h30m") and Dovecot's ("5 mins", "2d"); 0 needs no unit.
func parseDuration(v any) (time.Duration, error) {
	s, ok := v.(string)
	if !ok {
		return 0, fmt.Errorf("must be a string such as \"5s\"")
	}
	d, err := backend.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q %w", s, err)
	}
	return d, nil
}

package mdbox

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Layout says how mailbox names become directories (LAYOUT= in mail_location).
type Layout string

// The layouts of Dovecot's mailbox lists that mdbox can have. (Dovecot refuses maildir++
// with mdbox: that layout has no place for the dbox-Mails directory.)
const (
	LayoutFS    Layout = "fs"    // mailboxes/A/B/dbox-Mails
	LayoutIndex Layout = "index" // mailboxes/<GUID>, names in dovecot.list.index
	// LayoutPlusPlus is that of FormatMaildir: INBOX is the root, other mailboxes are .A.B below it.
	LayoutPlusPlus Layout = "maildir++"
)

// Location is where a user's store is: a mail_location after its variables were
// replaced. All paths are absolute and clean. Index, Control and VolatileDir are
// never empty: when mail_location does not name them they are Root (VolatileDir:
// Index). Locations that are equal are the same store.
type Location struct {
	Format        Format
	Root          string // holds storage/ (m.N files) and mailboxes/
	Index         string // INDEX=: the index files of map, mailboxes and list
	IndexPrivate  string // INDEXPVT=: private flags of a shared store, "" = none
	IndexCache    string // INDEXCACHE=: dovecot.index.cache files, "" = beside the index
	Control       string // CONTROL=: subscriptions, dovecot-uidvalidity
	Alt           string // ALT=: second root with m.N files, "" = none
	Inbox         string // INBOX=: directory of INBOX, "" = as any other mailbox
	VolatileDir   string // VOLATILEDIR=: lock files
	Volatile      bool   // VOLATILEDIR= was given: names of lock files are made unique
	Layout        Layout // LAYOUT=, default LayoutFS
	DirName       string // DIRNAME=, default "dbox-Mails"; not used by LayoutIndex
	MailboxDir    string // MAILBOXDIR=, default "mailboxes"
	Subscriptions string // SUBSCRIPTIONS=: file name below Control, default "subscriptions"
	ListIndex     string // LISTINDEX=: file name below Index, default "dovecot.list.index"
	UTF8          bool   // UTF-8: directory names are UTF-8, not modified UTF-7
}

// LocationTemplate is a mail_location whose variables have not been replaced yet.
type LocationTemplate struct {
	source string
	format Format
	path   string
	params []locationParam
}

type locationParam struct{ key, value string }

// LocationError says what is wrong with a mail_location.
type LocationError struct {
	Location string // as configured
	Reason   string
}

func (e *LocationError) Error() string {
	return fmt.Sprintf("mdbox: mail_location %q: %s", e.Location, e.Reason)
}

// ParseLocation parses Dovecot's syntax
//
//	<format>:<root>[:<KEY>=<path or value>]…[:UTF-8]
//
// where the format is mdbox, sdbox or maildir, and "::" stands for a colon inside of a value (dovecot
// src/lib-storage/mailbox-list.c, mailbox_list_settings_parse). The string is
// taken apart before variables are replaced, so that no user name can add a parameter.
// Variables are checked by Resolve.
func ParseLocation(s string) (*LocationTemplate, error) {
	t := &LocationTemplate{source: s}
	fields := splitLocation(s)
	if len(fields) < 2 {
		return nil, t.errorf("must start with a format, such as \"mdbox:\", and a path")
	}
	switch t.format = Format(fields[0]); t.format {
	case FormatMdbox, FormatSdbox, FormatMaildir:
	default:
		return nil, t.errorf("format %q is not supported, only mdbox, sdbox and maildir", t.format)
	}
	t.path = fields[1]
	if t.path == "" {
		return nil, t.errorf("the path is empty")
	}
	seen := map[string]bool{}
	for _, f := range fields[2:] {
		key, value, hasValue := strings.Cut(f, "=")
		why := checkParam(key, value, hasValue)
		if t.format == FormatMaildir {
			why = checkMaildirParam(key, value, hasValue)
		}
		if why != "" {
			return nil, t.errorf("%s", why)
		}
		if seen[key] {
			return nil, t.errorf("%s is given twice", key)
		}
		seen[key] = true
		t.params = append(t.params, locationParam{key, value})
	}
	return t, nil
}

// splitLocation splits at single colons outside of %{…} and drops an empty last field.
func splitLocation(s string) []string {
	fields := []string{""}
	braces := false
	for i := 0; i < len(s); i++ {
		last := &fields[len(fields)-1]
		switch c := s[i]; {
		case strings.HasPrefix(s[i:], "%{"):
			braces = true
			*last += string(c)
		case c == '}':
			braces = false
			*last += string(c)
		case c != ':' || braces:
			*last += string(c)
		case strings.HasPrefix(s[i:], "::"):
			*last += ":"
			i++
		default:
			fields = append(fields, "")
		}
	}
	if n := len(fields); n > 1 && fields[n-1] == "" {
		fields = fields[:n-1]
	}
	return fields
}

// checkMaildirParam is checkParam for FormatMaildir.
func checkMaildirParam(key, value string, hasValue bool) (why string) {
	switch key {
	case "LAYOUT":
		if Layout(value) != LayoutPlusPlus {
			return fmt.Sprintf("LAYOUT=%s is not supported with maildir, only maildir++", value)
		}
		return ""
	case "ALT", "INBOX", "DIRNAME", "MAILBOXDIR":
		return key + " is not supported with maildir"
	}
	return checkParam(key, value, hasValue)
}

func checkParam(key, value string, hasValue bool) (why string) {
	switch key {
	case "UTF-8":
		if hasValue {
			return "UTF-8 takes no value"
		}
		return ""
	case "INDEX", "INDEXPVT", "INDEXCACHE", "CONTROL", "ALT", "INBOX", "VOLATILEDIR", "SUBSCRIPTIONS", "LISTINDEX":
	case "LAYOUT":
		switch Layout(value) {
		case LayoutFS, LayoutIndex:
		case "maildir++":
			return "LAYOUT=maildir++ is not possible with mdbox and sdbox, as in Dovecot"
		default:
			return fmt.Sprintf("LAYOUT must be fs or index, not %q", value)
		}
	case "DIRNAME":
		if strings.Contains(value, "/") || value == "." || value == ".." {
			return key + " must be a plain name"
		}
	case "MAILBOXDIR":
		if !filepath.IsLocal(value) && value != "" {
			return key + " must be a path below the root"
		}
		return ""
	case "FULLDIRNAME", "BROKENCHAR", "ITERINDEX", "NO-NOSELECT", "NO-FS-VALIDATION":
		return key + " is not supported"
	default:
		return fmt.Sprintf("unknown parameter %q", key)
	}
	if value == "" {
		return key + " needs a value"
	}
	if key == "INDEX" && value == "MEMORY" {
		return "INDEX=MEMORY is not possible: flags are only in the index files"
	}
	return ""
}

// Format returns the format of the store.
func (t *LocationTemplate) Format() Format { return t.format }

// String returns the location as it was configured.
func (t *LocationTemplate) String() string { return t.source }

// Resolve replaces the variables with a user's values. Relative paths are taken
// to be below base. Errors: *VariableError, ErrUnsafeName, *LocationError.
func (t *LocationTemplate) Resolve(v Vars, base string) (Location, error) {
	l := Location{Format: t.format, Layout: LayoutFS, DirName: "dbox-Mails", MailboxDir: "mailboxes",
		Subscriptions: "subscriptions", ListIndex: "dovecot.list.index"}
	if t.format == FormatMaildir {
		l.Layout, l.DirName, l.MailboxDir = LayoutPlusPlus, "", ""
	}
	expand := func(s string) (string, error) {
		p, err := v.ExpandPath(s)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(p) {
			p = filepath.Join(base, p)
		}
		if p = filepath.Clean(p); p == "/" || !filepath.IsAbs(p) {
			return "", t.errorf("%q becomes %q, which is no place for a store", s, p)
		}
		return p, nil
	}
	var err error
	if l.Root, err = expand(t.path); err != nil {
		return Location{}, err
	}
	paths := map[string]*string{"INDEX": &l.Index, "INDEXPVT": &l.IndexPrivate, "INDEXCACHE": &l.IndexCache,
		"CONTROL": &l.Control, "ALT": &l.Alt, "INBOX": &l.Inbox, "VOLATILEDIR": &l.VolatileDir}
	for _, p := range t.params {
		if dst := paths[p.key]; dst != nil {
			if *dst, err = expand(p.value); err != nil {
				return Location{}, err
			}
			continue
		}
		l.setName(p.key, p.value)
	}
	if l.Index == "" {
		l.Index = l.Root
	}
	if l.Control == "" {
		l.Control = l.Root
	}
	if l.Volatile = l.VolatileDir != ""; !l.Volatile {
		l.VolatileDir = l.Index
	}
	return l, nil
}

// setName sets a parameter that is not a path.
func (l *Location) setName(key, value string) {
	switch key {
	case "LAYOUT":
		l.Layout = Layout(value)
	case "DIRNAME":
		l.DirName = value
	case "MAILBOXDIR":
		if value != "" {
			l.MailboxDir = filepath.Clean(value)
		}
	case "SUBSCRIPTIONS":
		l.Subscriptions = value
	case "LISTINDEX":
		l.ListIndex = value
	case "UTF-8":
		l.UTF8 = true
	}
}

func (t *LocationTemplate) errorf(format string, args ...any) error {
	return &LocationError{Location: t.source, Reason: fmt.Sprintf(format, args...)}
}

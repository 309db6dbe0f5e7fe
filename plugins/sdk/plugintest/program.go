package plugintest

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/host"
)

// Program describes a plugin that is a program, in whatever language, and what its cases need. As TOML:
//
//	kind = "auth"                  # left out: the plugin is asked
//	options.path = "users"         # what [plugins.NAME] has below options.
//
//	[auth]
//	good    = [{ user = "jane", password = "secret" }, { user = "JOE", password = "secret", name = "joe" }]
//	denied  = [{ user = "locked", password = "secret" }]       # right passwords of users who may not log in
//	expired = [{ user = "old", password = "secret" }]
//	unknown = "nobody"
//
//	[storage]
//	user = "jane"
//	fields.home = "/srv/mail/jane" # userdb fields
//	mailbox = "INBOX"              # with two messages or more; nothing may change it meanwhile
//	namespace = ""
//	missing = "no/such mailbox"
//	read_only = true
//
//	[storage.writable]             # an empty store that may be written to; {dir} is a new directory
//	options.mail_location = "mdbox:{dir}/mdbox"
//	second = ""                    # another namespace in which mailboxes can be made
//	namespace = [{ prefix = "", separator = "/", inbox = true }]
//
//	[hibernation]
//	parks = "1h"                   # a mailbox that has rested for so long is parked for certain
//
// Cases whose data is missing are left out, and said to be.
type Program struct {
	Kind    backend.Kind   `toml:"kind"`
	Options map[string]any `toml:"options"`

	Auth struct {
		Good    []Login `toml:"good"`
		Denied  []Login `toml:"denied"`
		Expired []Login `toml:"expired"`
		Unknown string  `toml:"unknown"`
	} `toml:"auth"`
	Storage struct {
		User      string            `toml:"user"`
		Fields    map[string]string `toml:"fields"`
		Namespace string            `toml:"namespace"`
		Mailbox   string            `toml:"mailbox"`
		Missing   string            `toml:"missing"`
		ReadOnly  bool              `toml:"read_only"`
		Writable  *struct {
			Options   map[string]any `toml:"options"`
			Second    string         `toml:"second"`
			Namespace []struct {
				Name      string `toml:"name"`
				Prefix    string `toml:"prefix"`
				Separator string `toml:"separator"`
				Inbox     bool   `toml:"inbox"`
				Location  string `toml:"location"`
			} `toml:"namespace"`
		} `toml:"writable"`
	} `toml:"storage"`
	Hibernation struct {
		Parks duration `toml:"parks"`
	} `toml:"hibernation"`

	// Command is the program and its arguments; the program's path is absolute, because the plugin runs in "/".
	Command []string `toml:"-"`
	// BaseDir is what relative paths in options are relative to.
	BaseDir string `toml:"-"`
}

// duration is a time.Duration that is written as text.
type duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = duration(v)
	return err
}

// Load reads the TOML form. A key that it does not know is an error.
func (p *Program) Load(file string) error {
	m, err := toml.DecodeFile(file, p)
	if err != nil {
		return fmt.Errorf("plugintest: %s: %w", file, err)
	}
	if unknown := m.Undecoded(); len(unknown) > 0 {
		return fmt.Errorf("plugintest: %s: unknown key %s", file, unknown[0])
	}
	if p.BaseDir, err = filepath.Abs(filepath.Dir(file)); err != nil {
		return fmt.Errorf("plugintest: %w", err)
	}
	return nil
}

// Set sets an option as text; its type is that of the plugin's Info. Of an option that is a list, it appends an element.
func (p *Program) Set(info backend.Info, name, value string) error {
	i := slices.IndexFunc(info.Options, func(o backend.Option) bool { return o.Name == name })
	if i < 0 {
		return fmt.Errorf("plugintest: the plugin has no option %q", name)
	}
	if p.Options == nil {
		p.Options = map[string]any{}
	}
	switch info.Options[i].Type {
	case backend.OptionBool:
		v, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("plugintest: option %s must be true or false, not %q", name, value)
		}
		p.Options[name] = v
	case backend.OptionInt:
		v, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return fmt.Errorf("plugintest: option %s must be a number, not %q", name, value)
		}
		p.Options[name] = v
	case backend.OptionStrings:
		list, _ := p.Options[name].([]string)
		p.Options[name] = append(list, value)
	default:
		p.Options[name] = value
	}
	return nil
}

// Describe starts the plugin, asks for its Info, and ends it. What it logs goes to log.
func (p *Program) Describe(ctx context.Context, log *slog.Logger) (info backend.Info, err error) {
	dir, err := os.MkdirTemp("", "plugintest") // short, because it holds sockets
	if err != nil {
		return info, fmt.Errorf("plugintest: %w", err)
	}
	defer os.RemoveAll(dir)
	h, err := host.New(host.Options{RunDir: dir, Log: log})
	if err != nil {
		return info, err
	}
	defer h.Close()
	return h.Describe(ctx, host.Config{Name: filepath.Base(p.Command[0]), Command: p.Command})
}

// DescribeAt asks a plugin that somebody runs for its Info. address and user are those of [plugins.NAME].
func DescribeAt(ctx context.Context, address, user string) (info backend.Info, err error) {
	h, err := host.New(host.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return info, err
	}
	defer h.Close()
	return h.Describe(ctx, host.Config{Name: address, Address: address, User: user})
}

// Test runs the conformance suite of the plugin's kind. Kind must be set.
func (p *Program) Test(t T) {
	config := backend.Config{Options: texts(p.Options), BaseDir: p.BaseDir}
	switch p.Kind {
	case backend.KindAuth:
		a := p.Auth
		Auth(t, AuthFixture{Command: p.Command, Config: config, Good: a.Good, Denied: a.Denied, Expired: a.Expired, Unknown: a.Unknown})
	case backend.KindStorage:
		s := p.Storage
		config.ReadOnly = s.ReadOnly
		f := StorageFixture{Command: p.Command, Config: config, User: &backend.User{Name: s.User, Fields: s.Fields},
			Namespace: s.Namespace, Mailbox: s.Mailbox, Missing: s.Missing}
		if s.Writable != nil {
			f.Writable, f.Second = p.writable, s.Writable.Second
		}
		Storage(t, f)
	case backend.KindNotify:
		Notify(t, NotifyFixture{Command: p.Command, Config: config})
	case backend.KindState:
		State(t, StateFixture{Command: p.Command, Config: config})
	case backend.KindHibernation:
		Hibernation(t, HibernationFixture{Command: p.Command, Config: config, Parks: time.Duration(p.Hibernation.Parks)})
	default:
		t.Fatalf("plugintest: there is no suite for plugins of kind %q", p.Kind)
	}
}

// writable makes a configuration for a new store.
func (p *Program) writable(t T) backend.Config {
	w, dir := p.Storage.Writable, t.TempDir()
	options := maps.Clone(texts(p.Options))
	if options == nil {
		options = map[string]any{}
	}
	maps.Copy(options, texts(w.Options))
	for name, v := range options {
		switch v := v.(type) {
		case string:
			options[name] = strings.ReplaceAll(v, "{dir}", dir)
		case []string:
			for i := range v {
				v[i] = strings.ReplaceAll(v[i], "{dir}", dir)
			}
		}
	}
	c := backend.Config{Options: options, BaseDir: p.BaseDir}
	for _, n := range w.Namespace {
		ns := backend.Namespace{Name: n.Name, Prefix: n.Prefix, Separator: '/', Inbox: n.Inbox, List: true, Subscriptions: true,
			Location: strings.ReplaceAll(n.Location, "{dir}", dir)}
		if n.Separator != "" {
			ns.Separator = n.Separator[0]
		}
		c.Namespaces = append(c.Namespaces, ns)
	}
	return c
}

// texts makes lists of strings of TOML's arrays, in a new map.
func texts(options map[string]any) map[string]any {
	out := map[string]any{}
	for name, v := range options {
		if list, ok := v.([]any); ok {
			words := make([]string, len(list))
			for i := range list {
				words[i] = fmt.Sprint(list[i])
			}
			v = words
		}
		if list, ok := v.([]string); ok {
			v = slices.Clone(list)
		}
		out[name] = v
	}
	return out
}

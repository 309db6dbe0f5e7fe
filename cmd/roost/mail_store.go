package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/config"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/vfs"
	storage "github.com/roostmail/roost/plugins/storage/mdbox"
)

// storeFlags say which store a command is about.
type storeFlags struct {
	config, user, location, namespace string
	options                           []string
}

// storeUsage is how the flags stand in a usage line.
const storeUsage = "{--config FILE --user USER | --location LOCATION}"

// storeHelp explains the flags in a help text.
const storeHelp = `
The store is that of USER in FILE, with the settings and as the user that the server
would use, or that at LOCATION, in the syntax of Dovecot's mail_location. Other
settings are then given as --option, and are Dovecot's defaults else; as root, the work
is done as the owner of the directory.`

func (f *storeFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVarP(&f.config, "config", "c", "", "configuration `FILE`")
	fl.StringVarP(&f.user, "user", "u", "", "`USER` whose store it is")
	fl.StringVar(&f.location, "location", "", "`LOCATION` of the store, as mdbox:/srv/mail/jane/mdbox")
	fl.StringArrayVarP(&f.options, "option", "o", nil, "a setting, as `NAME=VALUE`: lock_method=flock; may be repeated")
	fl.StringVar(&f.namespace, "namespace", "", "`NAME` of the namespace, if not the first")
	c.Args = func(cmd *cobra.Command, args []string) error { return notDone(cobra.NoArgs(cmd, args)) }
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return notDone(err) })
}

// mailStore is the store of a command.
type mailStore struct {
	*mdbox.Store
	fs     vfs.FS
	plugin *storage.Storage
}

func (s *mailStore) Close() error { return errors.Join(s.Store.Close(), s.plugin.Close()) }

// open opens the store. report is told of damage that was worked around.
func (f *storeFlags) open(ctx context.Context, report func(error)) (*mailStore, error) {
	p, conf, u, err := f.settings(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.Configure(ctx, conf); err != nil {
		return nil, err
	}
	name := f.namespace
	if name == "" && len(conf.Namespaces) > 0 {
		name = conf.Namespaces[0].Name
	}
	s, fsys, err := p.OpenStore(u, name, report)
	if err != nil {
		return nil, errors.Join(detailed(err), p.Close())
	}
	if st, err := fsys.Stat(s.Location().Root); err != nil || !st.Dir { // a wrong path must not pass for a store in order
		return nil, errors.Join(fmt.Errorf("there is no store at %s", s.Location().Root), err, s.Close(), p.Close())
	}
	return &mailStore{s, fsys, p}, nil
}

// detailed adds to an error what is for the administrator.
func detailed(err error) error {
	var e *backend.Error
	if errors.As(err, &e) && e.Detail != "" {
		return fmt.Errorf("%w: %s", err, e.Detail)
	}
	return err
}

// settings returns the storage plugin, what it is to be told, and the user.
func (f *storeFlags) settings(ctx context.Context) (p *storage.Storage, conf backend.Config, u *backend.User, err error) {
	switch {
	case (f.config == "") == (f.location == ""):
		return nil, conf, nil, errors.New("which store? give either --config and --user, or --location")
	case f.config == "":
		return f.locationSettings()
	case f.user == "":
		return nil, conf, nil, errors.New("--config needs --user")
	case len(f.options) > 0:
		return nil, conf, nil, errors.New("--option is for --location; with --config the settings are those of the file")
	}
	c, err := config.Load(f.config, bundle.Catalog())
	if err != nil {
		return nil, conf, nil, err
	}
	if p = storageFor(c.Storage.Name); p == nil || !c.Storage.Bundled {
		return nil, conf, nil, fmt.Errorf("the storage plugin is %q; this command is for the bundled ones", c.Storage.Name)
	}
	if u, err = lookUp(ctx, c, f.user); err != nil {
		return nil, conf, nil, fmt.Errorf("user %s: %w", f.user, detailed(err))
	}
	return p, c.Config(c.Storage), u, nil
}

// storageFor returns the bundled storage plugin with a name, nil if there is none. Those for Dovecot's formats have their names.
func storageFor(name string) *storage.Storage {
	p, _ := bundle.New(backend.KindStorage, name, slog.New(slog.DiscardHandler)).(*storage.Storage)
	return p
}

// lookUp asks the auth plugin of c for a user.
func lookUp(ctx context.Context, c *config.Config, name string) (*backend.User, error) {
	p := bundle.New(backend.KindAuth, c.Auth.Name, slog.New(slog.DiscardHandler))
	if p == nil || !c.Auth.Bundled {
		return nil, fmt.Errorf("the auth plugin %q is not bundled; use --location", c.Auth.Name)
	}
	if err := p.Configure(ctx, c.Config(c.Auth)); err != nil {
		return nil, err
	}
	defer p.Close()
	lookup, ok := p.(backend.UserLookup)
	if !ok {
		return nil, fmt.Errorf("the auth plugin %q can not look up users; use --location", c.Auth.Name)
	}
	return lookup.LookupUser(ctx, name)
}

// locationSettings is settings for --location.
func (f *storeFlags) locationSettings() (p *storage.Storage, conf backend.Config, u *backend.User, err error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, conf, nil, err
	}
	format, _, _ := strings.Cut(f.location, ":")
	if p = storageFor(format); p == nil {
		p = storage.New(slog.New(slog.DiscardHandler)) // says what is wrong
	}
	conf = backend.Config{BaseDir: dir, Options: map[string]any{"mail_location": f.location}}
	known := map[string]backend.OptionType{}
	for _, o := range p.Info().Options {
		known[o.Name] = o.Type
	}
	for _, o := range f.options {
		name, value, ok := strings.Cut(o, "=")
		if !ok || known[name] == "" {
			return nil, conf, nil, fmt.Errorf("--option %s: want NAME=VALUE; see: roost plugin info storage/%s", o, p.Info().Name)
		}
		conf.Options[name] = value
		if known[name] == backend.OptionBool {
			b, err := strconv.ParseBool(strings.NewReplacer("yes", "true", "no", "false").Replace(value))
			if err != nil {
				return nil, conf, nil, fmt.Errorf("--option %s: want yes or no", o)
			}
			conf.Options[name] = b
		}
	}
	u = &backend.User{Name: f.user, Fields: map[string]string{}}
	if me, err := user.Current(); err == nil {
		u.Fields["home"] = me.HomeDir
		if u.Name == "" {
			u.Name = me.Username
		}
	}
	f.owner(conf.Options)
	return p, conf, u, nil
}

// owner makes root work as the owner of the store's directory, unless mail_uid says something else.
func (f *storeFlags) owner(options map[string]any) {
	_, root, _ := strings.Cut(f.location, ":")
	root, _, _ = strings.Cut(root, ":")
	if os.Getuid() != 0 || options["mail_uid"] != nil || strings.Contains(root, "%") {
		return
	}
	st, err := os.Stat(root)
	if err != nil {
		return
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		options["mail_uid"], options["mail_gid"] = strconv.Itoa(int(sys.Uid)), strconv.Itoa(int(sys.Gid))
	}
}

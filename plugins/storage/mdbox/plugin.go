package mdbox

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
)

// Version is the plugin's own version.
const Version = "0.1.0"

// Storage implements backend.Storage and backend.Watcher. Make it with New.
type Storage struct {
	format  mdbox.Format
	log     *slog.Logger
	watches *watches

	// Set by Configure, then constant.
	settings   settings
	baseDir    string
	namespaces map[string]*namespace

	stores *stores
	purger *purger // nil: there is no purge in the background

	mu         sync.Mutex
	info       backend.Info // what Info returns, whose slices nobody changes
	configured bool
	closed     bool
}

// namespace is a configured namespace with its location.
type namespace struct {
	backend.Namespace
	location *mdbox.LocationTemplate // nil: only users with a field "mail" have one
	noInbox  bool                    // INBOX is not that of any namespace with inbox = true
}

var (
	_ backend.Storage = (*Storage)(nil)
	_ backend.Watcher = (*Storage)(nil)
)

// New returns the plugin for mdbox stores, not configured yet. It touches no mail.
func New(log *slog.Logger) *Storage { return NewFormat(mdbox.FormatMdbox, log) }

// NewFormat is New for any format: the plugin has its name.
func NewFormat(f mdbox.Format, log *slog.Logger) *Storage {
	s := &Storage{format: f, log: log}
	s.info = s.makeInfo()
	return s
}

// Info implements backend.Plugin. It is asked with every call.
func (s *Storage) Info() backend.Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.info
}

// makeInfo returns what is announced now. The caller holds s.mu, or is alone.
func (s *Storage) makeInfo() backend.Info {
	info := backend.Info{
		Kind:         backend.KindStorage,
		Name:         string(s.format),
		Version:      Version,
		Description:  "reads and writes Dovecot's " + string(s.format) + " mailstores",
		Capabilities: []string{backend.CapWatchFD, backend.CapWrite, backend.CapModSeqs, backend.CapMetadata, backend.CapQuota, backend.CapACL},
		Options:      optionsOf(s.format),
	}
	info.Capabilities = append(info.Capabilities, backend.CapSaveDate, backend.CapPreview, backend.CapObjectID, backend.CapStatusDeleted, backend.CapReplace)
	if s.configured && s.settings.attributes == "" {
		info = info.Without(backend.CapMetadata)
	}
	if s.configured && s.settings.quota == nil {
		info = info.Without(backend.CapQuota)
	}
	if s.configured && s.settings.acl == nil {
		info = info.Without(backend.CapACL)
	}
	info.Capabilities, info.Options = slices.Clip(info.Capabilities), slices.Clip(info.Options) // who appends gets a copy
	return info
}

// Configure implements backend.Plugin. Errors are KindInvalidArgument and name the option.
func (s *Storage) Configure(_ context.Context, c backend.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.configured {
		return backend.Errorf(backend.KindInvalidArgument, "already configured")
	}
	set, err := parseSettings(s.format, c.Options)
	if err != nil {
		return err
	}
	spaces := c.Namespaces
	if len(spaces) == 0 {
		spaces = []backend.Namespace{{Separator: '/', Inbox: true, List: true, Subscriptions: true}}
	}
	s.namespaces = map[string]*namespace{}
	for _, n := range spaces {
		ns, err := s.newNamespace(n, set)
		if err != nil {
			return err
		}
		ns.noInbox = n.Location != "" && !slices.ContainsFunc(spaces, func(with backend.Namespace) bool {
			return with.Inbox && cmp.Or(with.Location, set.location) == n.Location
		})
		s.namespaces[n.Name] = ns
		if ns.location != nil && strings.Contains(ns.location.String(), ":INDEXPVT=") {
			s.log.Warn("private flags are not read: INDEXPVT is not supported", "namespace", n.Name)
		}
	}
	for name, template := range map[string]string{"mail_home": set.home, "mail_attachment_dir": set.attachments, "mail_attribute_dict": set.attributes} {
		if _, err := sampleVars.ExpandPath(template); err != nil {
			return backend.OptionErrorf(name, "%v", err)
		}
	}
	set.uid = cmp.Or(set.uid, strconv.Itoa(os.Getuid()))
	set.gid = cmp.Or(set.gid, strconv.Itoa(os.Getgid()))
	s.settings, s.baseDir = set, c.BaseDir
	s.stores = newStores(set, s.namespaces, s.log)
	if c.ReadOnly {
		s.stores.write = nil
	}
	if s.format == mdbox.FormatMdbox && s.stores.write != nil && set.purgeInterval > 0 {
		s.purger = newPurger(set.purgeInterval, s.stores, s.log)
	}
	s.watches = newWatches(s.log)
	// The first question loads the libraries of /etc/nsswitch.conf, and may wait for a server. It ends by itself.
	go systemGroups(owner{uid: os.Getuid(), gid: os.Getgid()})
	s.configured = true
	s.info = s.makeInfo()
	return nil
}

// sampleVars stand for a user when templates are checked.
var sampleVars = mdbox.Vars{User: "user@example.org", Home: "/home/user", UID: "1000", GID: "1000"}

func (s *Storage) newNamespace(n backend.Namespace, set settings) (*namespace, error) {
	ns := &namespace{Namespace: n}
	location := cmp.Or(n.Location, set.location)
	if location == "" {
		return ns, nil
	}
	var err error
	if ns.location, err = s.parseLocation(location); err == nil {
		_, err = ns.location.Resolve(sampleVars, "/")
	}
	switch {
	case err != nil && n.Location != "":
		return nil, backend.Errorf(backend.KindInvalidArgument, "location of namespace %q: %v", n.Name, err)
	case err != nil:
		return nil, backend.OptionErrorf("mail_location", "%v", err)
	}
	return ns, nil
}

// parseLocation parses a mail_location, which must be of the plugin's format.
func (s *Storage) parseLocation(location string) (*mdbox.LocationTemplate, error) {
	t, err := mdbox.ParseLocation(location)
	if err == nil && t.Format() != s.format {
		return nil, &mdbox.LocationError{Location: location, Reason: fmt.Sprintf("the format belongs to the storage plugin %q", string(t.Format()))}
	}
	return t, err
}

// Health implements backend.Plugin.
func (s *Storage) Health(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.configured || s.closed {
		return backend.Errorf(backend.KindUnavailable, "storage is not configured")
	}
	return nil
}

// usable is Health, and whether the caller still waits.
func (s *Storage) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return toBackend(err)
	}
	return s.Health(ctx)
}

// Close implements backend.Plugin: it closes all files. Calls that still run fail.
func (s *Storage) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.configured || s.closed {
		return nil
	}
	s.closed = true
	s.purger.close()
	s.stores.close()
	return s.watches.close()
}

// WatchFile implements backend.Watcher.
func (s *Storage) WatchFile(ctx context.Context) (*os.File, error) {
	if err := s.Health(ctx); err != nil {
		return nil, err
	}
	f, err := s.watches.dup()
	if err != nil {
		return nil, &backend.Error{Kind: backend.KindUnavailable, Message: "mailboxes cannot be watched", Cause: err}
	}
	return f, nil
}

// Unwatch implements backend.Watcher.
func (s *Storage) Unwatch(ctx context.Context, ids []int32) error {
	if err := s.Health(ctx); err != nil {
		return err
	}
	s.watches.remove(ids)
	return nil
}

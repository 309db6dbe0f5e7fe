package mdbox

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/acl"
	"github.com/roostmail/roost/mdbox/vfs"
)

// aclSettings are the options about access control lists.
type aclSettings struct {
	global string // file of global lists, may use variables; "" = none
	anyone bool   // clients may give rights to anyone and authenticated
}

// parseACL reads the option acl, "vfile[:PATH][:cache_secs=N]"; nil: there are no access control lists.
func (p *optionParser) parseACL(values map[string]any) *aclSettings {
	spec := values["acl"].(string)
	if spec == "" {
		return nil
	}
	fields := strings.Split(spec, ":")
	if fields[0] != "vfile" {
		p.fail("acl", "the backend %q is not supported, only vfile", fields[0])
	}
	a := &aclSettings{anyone: values["acl_anyone"].(string) == "allow"}
	for i, field := range fields[1:] {
		switch {
		case strings.HasPrefix(field, "cache_secs="): // lists are read when they are needed
		case i == 0:
			a.global = field
		default:
			p.fail("acl", "unknown parameter %q", field)
		}
	}
	return a
}

// who returns who a user is to the lists of a namespace. A user's fields acl_user, master_user (who has logged in as the user) and acl_groups are
// as in Dovecot.
func (n *namespace) who(u *backend.User) acl.Who {
	w := acl.Who{User: cmp.Or(u.Fields["acl_user"], u.Fields[backend.FieldMaster], u.Name)}
	w.Owner = !n.Public && w.User == u.Name
	if groups := u.Fields["acl_groups"]; groups != "" {
		w.Groups = strings.Split(groups, ",")
	}
	return w
}

// lists are the access control lists that count for a user in a namespace, for one call.
type lists struct {
	ns      *namespace
	who     acl.Who
	store   *mdbox.Store
	release func()
	global  *acl.Global // nil: there are none
}

// lists opens the lists; the caller closes them with release. The global ones are read at once.
func (s *Storage) lists(u *backend.User, namespace string) (*lists, error) {
	if u == nil {
		return nil, backend.Errorf(backend.KindNotFound, "no such namespace")
	}
	ns, p, err := s.locate(u, namespace)
	if err != nil {
		return nil, err
	}
	l := &lists{ns: ns, who: ns.who(u)}
	if l.global, err = s.globalLists(u); err != nil {
		return nil, aclError(err)
	}
	if l.store, l.release, err = s.stores.store(p); err != nil {
		return nil, toBackend(err)
	}
	return l, nil
}

// globalLists reads the file of global lists. One that is configured and not there is an error.
func (s *Storage) globalLists(u *backend.User) (*acl.Global, error) {
	if s.settings.acl.global == "" {
		return nil, nil
	}
	file, err := s.path(s.varsOf(u), s.settings.acl.global)
	if err != nil {
		return nil, err
	}
	b, err := vfs.ReadFile(vfs.OS, file, maxGlobalACL)
	if err != nil {
		return nil, err
	}
	global, err := acl.DecodeGlobal(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return global, nil
}

// of returns the entries that count for a mailbox: its own, and the global ones.
func (l *lists) of(name string) (local, global []acl.Entry, err error) {
	if local, err = l.store.ACL(name, l.ns.Public); err != nil {
		return nil, nil, aclError(err)
	}
	return local, l.global.Of(l.ns.quotaName(name)), nil
}

// rights returns what the user may do with a mailbox, which need not exist.
func (l *lists) rights(name string) (acl.Rights, error) {
	local, global, err := l.of(name)
	if err != nil {
		return 0, err
	}
	return acl.Of(l.who, local, global), nil
}

// maxGlobalACL bounds the file of global lists, in bytes.
const maxGlobalACL = 4 << 20

// aclError says that nobody has any right, since a list can not be read.
func aclError(err error) *backend.Error {
	return &backend.Error{Kind: backend.KindInternal, Message: "Access control list can not be read", Detail: err.Error(), Cause: err}
}

// rights returns what a user may do with one mailbox.
func (s *Storage) rights(u *backend.User, namespace, name string) (acl.Rights, error) {
	if s.settings.acl == nil {
		return acl.All, nil
	}
	l, err := s.lists(u, namespace)
	if err != nil {
		return 0, err
	}
	defer l.release()
	return l.rights(name)
}

// allow refuses who has none of the rights. Who may not know of a mailbox is told that there is none.
func (s *Storage) allow(ref backend.MailboxRef, rights acl.Rights) error {
	if s.settings.acl == nil {
		return nil
	}
	has, err := s.rights(ref.User, ref.Namespace, ref.Name)
	if err != nil {
		return err
	}
	return permit(has, rights)
}

func permit(has, wanted acl.Rights) error {
	switch {
	case has&wanted != 0:
		return nil
	case has&acl.Lookup != 0:
		return backend.Errorf(backend.KindNoPermission, "Permission denied")
	}
	return backend.Errorf(backend.KindNotFound, "Mailbox does not exist")
}

// allowNew refuses who may not make a mailbox: that takes the right to do so in its parent (RFC 4314 §4).
func (s *Storage) allowNew(ref backend.MailboxRef) error {
	if s.settings.acl == nil {
		return nil
	}
	has, err := s.rights(ref.User, ref.Namespace, parentOf(ref.Name))
	if err == nil && has&acl.Create == 0 {
		err = backend.Errorf(backend.KindNoPermission, "Permission denied")
	}
	return err
}

// parentOf returns the parent's name; that of the top level is empty, and belongs to no mailbox.
func parentOf(name string) string {
	if dir := path.Dir(name); dir != "." && dir != "/" {
		return dir
	}
	return ""
}

// protected returns the flags that somebody may not change.
func protected(has acl.Rights) (flags uint8, keywords bool) {
	if has&acl.WriteSeen == 0 {
		flags |= backend.FlagSeen
	}
	if has&acl.WriteDeleted == 0 {
		flags |= backend.FlagDeleted
	}
	if has&acl.Write == 0 {
		flags |= backend.FlagAnswered | backend.FlagFlagged | backend.FlagDraft
	}
	return flags, has&acl.Write == 0
}

// aclWatchDirs returns the directories that tell of every change of the lists that count for a mailbox.
func (s *Storage) aclWatchDirs(store *mdbox.Store, u *backend.User, p place, name string) ([]mdbox.WatchDir, error) {
	dirs, err := store.ACLWatchDirs(name, s.namespaces[p.namespace].Public)
	if err != nil || s.settings.acl.global == "" {
		return dirs, err
	}
	file, err := s.path(s.varsOf(u), s.settings.acl.global)
	return append(dirs, mdbox.WatchDir{Path: filepath.Dir(file), Prefix: filepath.Base(file)}), err
}

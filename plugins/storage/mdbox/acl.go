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

// who returns who a user is to the lists of a namespace. A user's fields acl_user and acl_groups are as in Dovecot.
func (n *namespace) who(u *backend.User) acl.Who {
	w := acl.Who{User: cmp.Or(u.Fields["acl_user"], u.Name)}
	w.Owner = !n.Public && w.User == u.Name
	if groups := u.Fields["acl_groups"]; groups != "" {
		w.Groups = strings.Split(groups, ",")
	}
	return w
}

// aclOf returns the entries that count for a mailbox: its own, and the global ones.
func (s *Storage) aclOf(ns *namespace, p place, u *backend.User, name string) (local, global []acl.Entry, err error) {
	store, release, err := s.stores.store(p)
	if err != nil {
		return nil, nil, toBackend(err)
	}
	defer release()
	if local, err = store.ACL(name, ns.Public); err != nil {
		return nil, nil, aclError(err)
	}
	if s.settings.acl.global == "" {
		return local, nil, nil
	}
	file, err := s.path(s.varsOf(u), s.settings.acl.global)
	if err != nil {
		return nil, nil, aclError(err)
	}
	b, err := vfs.ReadFile(vfs.OS, file, maxGlobalACL)
	if err != nil {
		return nil, nil, aclError(err)
	}
	lists, err := acl.DecodeGlobal(b)
	if err != nil {
		return nil, nil, aclError(fmt.Errorf("%s: %w", file, err))
	}
	return local, lists.Of(ns.quotaName(name)), nil
}

// maxGlobalACL bounds the file of global lists, in bytes.
const maxGlobalACL = 4 << 20

// aclError says that nobody has any right, since a list can not be read.
func aclError(err error) *backend.Error {
	return &backend.Error{Kind: backend.KindInternal, Message: "Access control list can not be read", Detail: err.Error(), Cause: err}
}

// rights returns what a user may do with a mailbox, which need not exist.
func (s *Storage) rights(u *backend.User, namespace, name string) (acl.Rights, error) {
	if s.settings.acl == nil {
		return acl.All, nil
	}
	ns, p, err := s.locate(u, namespace)
	if err != nil {
		return 0, err
	}
	local, global, err := s.aclOf(ns, p, u, name)
	if err != nil {
		return 0, err
	}
	return acl.Of(ns.who(u), local, global), nil
}

// allow refuses who has none of the rights. Who may not know of a mailbox is told that there is none.
func (s *Storage) allow(ref backend.MailboxRef, rights acl.Rights) error {
	if s.settings.acl == nil {
		return nil
	}
	if ref.User == nil {
		return backend.Errorf(backend.KindNotFound, "no such namespace")
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

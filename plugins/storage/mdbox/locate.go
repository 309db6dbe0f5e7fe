package mdbox

import (
	"cmp"
	"path/filepath"
	"sync"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
)

// locate returns where a user's mail of a namespace is. Dovecot's userdb fields
// home, mail, uid and gid take precedence over the options.
func (s *Storage) locate(u *backend.User, name string) (*namespace, place, error) {
	ns := s.namespaces[name]
	if u == nil || ns == nil {
		return nil, place{}, backend.Errorf(backend.KindNotFound, "no such namespace")
	}
	v := s.varsOf(u)
	p, err := s.resolve(ns, v, u.Fields["mail"])
	if err != nil {
		return nil, place{}, &backend.Error{Kind: backend.KindUnavailable, Message: "mail storage is misconfigured", Detail: err.Error()}
	}
	p.namespace = name
	if p.owner, err = parseOwner(v.UID, v.GID); err != nil {
		return nil, place{}, &backend.Error{Kind: backend.KindUnavailable, Message: "mail storage is misconfigured", Detail: err.Error()}
	}
	if u.Fields["uid"] != "" && p.owner.uid == 0 || u.Fields["gid"] != "" && p.owner.gid == 0 {
		return nil, place{}, &backend.Error{Kind: backend.KindNoPermission, Message: "Mail is not accessed as root", Detail: "the user database has the uid or gid 0"}
	}
	return ns, p, nil
}

// varsOf returns the variables of a user's paths; the home directory may still be that of mail_home.
func (s *Storage) varsOf(u *backend.User) mdbox.Vars {
	return mdbox.Vars{User: u.Name, Home: u.Fields["home"],
		UID: cmp.Or(u.Fields["uid"], s.settings.uid), GID: cmp.Or(u.Fields["gid"], s.settings.gid)}
}

// place is what identifies a user's store. Equal places share everything.
type place struct {
	location    mdbox.Location
	attachments string
	attributes  string // file of annotations, "" = none
	owner       owner
	namespace   string // its name
}

func (s *Storage) resolve(ns *namespace, v mdbox.Vars, mail string) (p place, err error) {
	if v.Home == "" && s.settings.home != "" {
		if v.Home, err = v.ExpandPath(s.settings.home); err != nil {
			return p, err
		}
	}
	t := ns.location
	if mail != "" && ns.Namespace.Location == "" {
		if t, err = s.parseLocation(mail); err != nil {
			return p, err
		}
	}
	if t == nil {
		return p, &mdbox.LocationError{Reason: "neither the option nor the user's field \"mail\" is set"}
	}
	if p.location, err = t.Resolve(v, s.baseDir); err != nil {
		return p, err
	}
	if p.attachments, err = s.path(v, s.settings.attachments); err != nil {
		return p, err
	}
	p.attributes, err = s.path(v, s.settings.attributes)
	return p, err
}

// path replaces the variables of an option that is a path; "" stays.
func (s *Storage) path(v mdbox.Vars, template string) (string, error) {
	if template == "" {
		return "", nil
	}
	path, err := v.ExpandPath(template)
	if err == nil && !filepath.IsAbs(path) {
		path = filepath.Join(s.baseDir, path)
	}
	return path, err
}

// keptPlaces is how many places are kept. There are as many as users whose calls follow each other.
const keptPlaces = 64

// places has those of the users whose mailboxes were used last. The one who calls for a mailbox again mostly has the same *backend.User; calls for no
// mailbox have another each time, and are not kept. All are forgotten when the last mailbox is closed.
type places struct {
	mu   sync.Mutex
	kept map[placeKey]place
}

type placeKey struct {
	user      *backend.User // which is not changed
	namespace string
}

func (k *places) get(key placeKey) (p place, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p, ok = k.kept[key]
	return p, ok
}

// put keeps p. When there are more than keptPlaces, all others are forgotten.
func (k *places) put(key placeKey, p place) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept == nil || len(k.kept) >= keptPlaces {
		k.kept = map[placeKey]place{}
	}
	k.kept[key] = p
}

func (k *places) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept = nil
}

package authdb

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"strings"

	"github.com/roostmail/roost/core/backend"
)

// passdb is what the fields of an entry say about a login.
type passdb struct {
	name   string            // of the user, perhaps changed by user=, username= or domain=
	fields map[string]string // for Identity.Fields
	userdb map[string]string // for User.Fields
	nets   []Field           // each allow_nets and allow_real_nets: all of them must have the client
}

// sortFields sorts the fields of an entry into those of the passdb and those of the userdb.
//
// A key may end in :default (set only if it is not set yet), :remove, or :protected, which are Dovecot's. As there, :remove does not let
// in whom networks have kept out.
func sortFields(name string, e *Entry) passdb {
	p := passdb{name: name, fields: map[string]string{}, userdb: maps.Clone(e.UserDB)}
	if p.userdb == nil {
		p.userdb = map[string]string{}
	}
	for _, f := range e.Fields {
		key, how, _ := strings.Cut(f.Key, ":")
		into := p.fields
		name, userdb := strings.CutPrefix(key, "userdb_")
		if userdb {
			key, into = name, p.userdb
		}
		if key == "" {
			continue
		}
		_, set := into[key]
		switch {
		case how == "remove":
			delete(into, key)
		case how == "default" && set:
		default:
			into[key] = f.Value
			if !userdb {
				p.rename(key, f.Value)
			}
			if !userdb && (key == "allow_nets" || key == "allow_real_nets") {
				p.nets = append(p.nets, Field{key, f.Value})
			}
		}
	}
	return p
}

// rename applies user=, username= and domain=, each to what those before it have made of the name.
func (p *passdb) rename(key, value string) {
	name, domain, hasDomain := strings.Cut(p.name, "@")
	switch {
	case key == "user", key == "username" && strings.Contains(value, "@"):
		p.name = value
	case key == "username" && hasDomain:
		p.name = value + "@" + domain
	case key == "username":
		p.name = value
	case key == "domain":
		p.name = name + "@" + value
	}
}

// UserFields returns the userdb fields of an entry: UserDB, and its fields userdb_KEY.
func UserFields(e *Entry) map[string]string { return sortFields("", e).userdb }

// askUser puts the userdb fields of the user name into an account. The error is a *backend.Error, or, as a.Err, why the entry can not be used.
func (a *account) askUser(ctx context.Context, name string) error {
	if a.UserOf == nil {
		return nil
	}
	v := a.vars
	v.User = name
	fields, err := a.UserOf(ctx, name, v)
	if err == nil {
		a.UserDB = fields
	} else if e := (*backend.Error)(nil); !errors.As(err, &e) {
		a.Err = err
	}
	return err
}

// user makes the User of a lookup: the entry's userdb fields between the configured defaults and overrides.
func (db *DB) user(v Vars, d passdb) (backend.User, error) {
	v.User, v.Home = d.name, d.userdb["home"]
	for _, f := range db.opts.DefaultFields {
		if _, set := d.userdb[f.Key]; set {
			continue
		}
		value, err := v.ExpandField(f.Value)
		if err != nil {
			return backend.User{}, err
		}
		d.userdb[f.Key] = value
		if f.Key == "home" {
			v.Home = value
		}
	}
	for _, f := range db.opts.OverrideFields {
		value, err := v.ExpandField(f.Value)
		if err != nil {
			return backend.User{}, err
		}
		d.userdb[f.Key] = value
	}
	return backend.User{Name: d.name, Fields: d.userdb}, nil
}

// refusal returns why a login with the right password is refused, or nil.
func (db *DB) refusal(d passdb, remote netip.Addr) *backend.Error {
	for _, f := range d.nets {
		ok, bad := netAllowed(f.Value, remote)
		if len(bad) > 0 {
			db.log.Error("networks do not parse", "user", d.name, "field", f.Key, "networks", bad)
		}
		if !ok {
			return &backend.Error{Kind: backend.KindAuthDenied, Message: "Login is not allowed from your network", Detail: f.Key + " does not have " + remoteName(remote)}
		}
	}
	if _, set := d.fields["nologin"]; set {
		return NoLogin(d.name, d.fields)
	}
	for _, key := range []string{"proxy", "proxy_maybe", "login_user", "master"} {
		if _, set := d.fields[key]; set {
			return &backend.Error{Kind: backend.KindAuthDenied, Message: "Login is not possible on this server", Detail: "extra field " + key + " is not supported"}
		}
	}
	return nil
}

func remoteName(a netip.Addr) string {
	if !a.IsValid() {
		return "a client without address"
	}
	return a.Unmap().String()
}

package passwdfile

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/roostmail/roost/core/backend"
)

// passdb is what the extra fields of a line say about a login.
type passdb struct {
	name   string            // of the user, perhaps changed by user=, username= or domain=
	fields map[string]string // for Identity.Fields
	userdb map[string]string // for User.Fields: the columns and userdb_ fields
}

// expandFields expands the extra fields of an account in their order.
//
// A key may end in :default (set only if it is not set yet), :remove, or :protected, which are Dovecot's.
func expandFields(a account) (passdb, error) {
	p := passdb{name: a.name, fields: map[string]string{}, userdb: columns(a.entry)}
	v := a.vars
	v.home = a.entry.home
	for _, f := range a.entry.extra {
		value, err := v.expand(f.value)
		if err != nil {
			return p, fmt.Errorf("extra field %s: %w", f.key, err)
		}
		key, how, _ := strings.Cut(f.key, ":")
		into := p.fields
		if name, ok := strings.CutPrefix(key, "userdb_"); ok {
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
			into[key] = value
		}
	}
	p.rename()
	return p, nil
}

// rename applies user=, username= and domain=.
func (p *passdb) rename() {
	if user, ok := p.fields["user"]; ok && user != "" {
		p.name = user
	}
	name, domain, hasDomain := strings.Cut(p.name, "@")
	if n, ok := p.fields["username"]; ok && n != "" {
		name = n
	}
	if d, ok := p.fields["domain"]; ok && d != "" {
		domain, hasDomain = d, true
	}
	p.name = name
	if hasDomain {
		p.name += "@" + domain
	}
}

// columns returns the userdb fields that have a column of their own.
func columns(e entry) map[string]string {
	m := map[string]string{}
	for _, f := range []field{{"uid", e.uid}, {"gid", e.gid}, {"home", e.home}} {
		if f.value != "" {
			m[f.key] = f.value
		}
	}
	return m
}

// user makes the User of a lookup: the line's userdb fields between the configured defaults and overrides.
func (p *Plugin) user(a account, d passdb) (backend.User, error) {
	v := a.vars
	v.user, v.home = d.name, d.userdb["home"]
	for _, f := range p.opts.defaultFields {
		if _, set := d.userdb[f.key]; set {
			continue
		}
		value, err := v.expand(f.value)
		if err != nil {
			return backend.User{}, err
		}
		d.userdb[f.key] = value
		if f.key == "home" {
			v.home = value
		}
	}
	for _, f := range p.opts.overrideFields {
		value, err := v.expand(f.value)
		if err != nil {
			return backend.User{}, err
		}
		d.userdb[f.key] = value
	}
	return backend.User{Name: d.name, Fields: d.userdb}, nil
}

// refusal returns why a login with the right password is refused, or nil.
func (p *Plugin) refusal(d passdb, remote netip.Addr) *backend.Error {
	for _, key := range []string{"allow_nets", "allow_real_nets"} {
		nets, set := d.fields[key]
		if !set {
			continue
		}
		ok, bad := netAllowed(nets, remote)
		if len(bad) > 0 {
			p.log.Error("passwd-file: networks do not parse", "user", d.name, "field", key, "networks", bad)
		}
		if !ok {
			return &backend.Error{Kind: backend.KindAuthDenied, Message: "Login is not allowed from your network", Detail: key + " does not have " + remoteName(remote)}
		}
	}
	if _, set := d.fields["nologin"]; set {
		message := d.fields["reason"]
		if message == "" {
			message = "Login is disabled"
		}
		return &backend.Error{Kind: backend.KindAuthDenied, Message: message, Detail: "nologin is set"}
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

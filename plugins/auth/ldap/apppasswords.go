package ldap

import (
	"context"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/roostmail/roost/plugins/sdk/authdb"
)

// AppPasswords implements authdb.AppPasswords, with app_password_filter. Entries without password, those that do not parse and that
// at app_password_base itself are left out.
func (p *Plugin) AppPasswords(ctx context.Context, name string, v authdb.Vars) ([]authdb.AppPassword, error) {
	s := p.opts.apps
	if s.filter == "" {
		return nil, nil
	}
	base, filter, err := expand(s.base, s.filter, v)
	if err != nil {
		return nil, internal(err)
	}
	entries, _, err := p.directory.entries(ctx, base, filter, names(s.attrs), authdb.MaxAppPasswords+1) // authdb says that there are too many
	if err != nil {
		return nil, unavailable(err)
	}
	top, err := ldap.ParseDN(base)
	if err != nil {
		return nil, internal(err)
	}
	var list []authdb.AppPassword
	for _, e := range entries {
		if dn, err := ldap.ParseDN(e.DN); err == nil && dn.EqualFold(top) {
			continue // the user's own entry, with entries below it
		}
		got, err := fields(s.attrs, e, v)
		if err != nil {
			return nil, internal(err)
		}
		field := map[string]string{}
		for _, f := range got {
			field[f.Key] = f.Value
		}
		a, err := authdb.ParseAppPassword(field["label"], field["password"], field["scopes"], plainTime(field["expires"]))
		if err != nil {
			p.log.Error("app password is not used", "user", name, "entry", e.DN, "error", err)
			continue
		}
		list = append(list, a)
	}
	return list, nil
}

// plainTime returns a time in the usual form of LDAP's generalized time (RFC 4517 §3.3.13), "20301231120000Z", as RFC 3339 has it, and anything else as it is.
func plainTime(s string) string {
	t, err := time.Parse("20060102150405Z", s)
	if err != nil {
		return s
	}
	return t.Format(time.RFC3339)
}

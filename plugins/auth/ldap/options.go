package ldap

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/authdb"
)

// options is the plugin's configuration, beside what authdb.Options has.
type options struct {
	uris                   []string
	startTLS               bool
	tls                    *tls.Config
	dn, password           string // of the searches; dn "" = anonymous
	authBind               bool
	userDN                 string // "" = that of the entry that pass_filter finds
	base                   string
	scope                  int
	passFilter, userFilter string // userFilter "" = there is none
	passAttrs, userAttrs   []attr
	master, apps           search // filter "" = there are none
	timeout                time.Duration
	connections            int
}

// search is one for entries of another kind than users.
type search struct {
	base, filter string
	attrs        []attr
}

// optionList documents the options. Defaults are also applied from here, so that the two can not differ.
var optionList = slices.Concat([]backend.Option{
	{Name: "uris", Type: backend.OptionStrings, Required: true, Help: "ldap://host:port, ldaps://host or ldapi:///path; the first that answers"},
	{Name: "starttls", Type: backend.OptionBool, Default: "false", Help: "begin TLS on ldap:// connections"},
	{Name: "tls_ca_file", Type: backend.OptionString, Default: `""`, Help: "certificates that the directory's is checked against; empty: the system's"},
	{Name: "dn", Type: backend.OptionString, Default: `""`, Help: "who searches; empty: anonymous"},
	{Name: "dnpass", Type: backend.OptionString, Default: `""`, Secret: true, Help: "password of dn"},
	{Name: "auth_bind", Type: backend.OptionBool, Default: "false", Help: "the directory checks passwords, by a bind as the user"},
	{Name: "auth_bind_userdn", Type: backend.OptionString, Default: `""`, Help: "whom to bind as, with variables, without a search before it"},
	{Name: "base", Type: backend.OptionString, Required: true, Help: "where searches begin, with variables"},
	{Name: "scope", Type: backend.OptionString, Default: `"subtree"`, Help: "subtree, onelevel or base"},
	{Name: "pass_filter", Type: backend.OptionString, Default: `"(&(objectClass=posixAccount)(uid=%u))"`, Help: "finds the user who logs in"},
	{Name: "pass_attrs", Type: backend.OptionString, Default: `"uid=user,userPassword=password"`, Help: "its attributes as passdb fields, and userdb fields as userdb_KEY"},
	{Name: "user_filter", Type: backend.OptionString, Default: `""`, Help: "finds the entry with the userdb fields; empty: those of pass_attrs are all"},
	{Name: "user_attrs", Type: backend.OptionString, Default: `"homeDirectory=home,uidNumber=uid,gidNumber=gid"`, Help: "its attributes as userdb fields"},
	{Name: "master_filter", Type: backend.OptionString, Default: `""`, Help: "finds a master user, who may log in as anybody; empty: there are none"},
	{Name: "master_base", Type: backend.OptionString, Default: `""`, Help: "where that search begins; empty: base"},
	{Name: "master_attrs", Type: backend.OptionString, Default: `""`, Help: "as pass_attrs; empty: those"},
	authdb.MasterOption,
	{Name: "app_password_filter", Type: backend.OptionString, Default: `""`, Help: "finds the app passwords of a user, an entry for each; empty: there are none"},
	{Name: "app_password_base", Type: backend.OptionString, Default: `""`, Help: "where that search begins; empty: base"},
	{Name: "app_password_attrs", Type: backend.OptionString, Default: `"userPassword=password,cn=label,description=scopes"`, Help: "their attributes as password, label, scopes and expires"},
	{Name: "timeout", Type: backend.OptionDuration, Default: `"10s"`, Help: "how long the directory may take to answer"},
	{Name: "max_connections", Type: backend.OptionInt, Default: "10", Help: "connections for binds at once"},
}, authdb.OptionList)

var scopes = map[string]int{"subtree": ldap.ScopeWholeSubtree, "onelevel": ldap.ScopeSingleLevel, "base": ldap.ScopeBaseObject}

func parseOptions(c backend.Config) (options, authdb.Options, error) {
	v := authdb.NewValues(c, optionList)
	common := v.Options()
	o := options{
		uris: v.Strings("uris"), startTLS: v.Bool("starttls"), dn: v.Text("dn"), password: v.Text("dnpass"), authBind: v.Bool("auth_bind"),
		userDN: v.Text("auth_bind_userdn"), base: v.Text("base"), passFilter: v.Text("pass_filter"), userFilter: v.Text("user_filter"),
		timeout: v.Duration("timeout"), connections: int(min(v.Number("max_connections", false), 10000)),
	}
	if len(o.uris) == 0 {
		v.Fail("uris", "is required")
	}
	host := ""
	for _, uri := range o.uris {
		u, err := url.Parse(uri)
		if err != nil || !slices.Contains([]string{"ldap", "ldaps", "ldapi"}, u.Scheme) {
			v.Fail("uris", "%q is not an LDAP URI", uri)
			continue
		}
		host = u.Hostname()
	}
	var ok bool
	if o.scope, ok = scopes[v.Text("scope")]; !ok {
		v.Fail("scope", "is none of subtree, onelevel, base")
	}
	v.CheckVariables("base", o.base)
	v.CheckVariables("auth_bind_userdn", o.userDN)
	checkFilter(v, "pass_filter", o.passFilter)
	checkFilter(v, "user_filter", o.userFilter)
	var err error
	if o.passAttrs, err = parseAttrs(v.Text("pass_attrs")); err != nil {
		v.Fail("pass_attrs", "%v", err)
	}
	if o.userAttrs, err = parseAttrs(v.Text("user_attrs")); err != nil {
		v.Fail("user_attrs", "%v", err)
	}
	o.master = parseSearch(v, "master", o.base, v.Text("pass_attrs"))
	o.apps = parseSearch(v, "app_password", o.base, "")
	if common.MasterSeparator != "" && o.master.filter == "" {
		v.Fail(authdb.MasterOption.Name, "needs master_filter")
	}
	if o.userDN != "" && !o.authBind {
		v.Fail("auth_bind_userdn", "needs auth_bind = true")
	}
	o.tls = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if file := v.Text("tls_ca_file"); file != "" {
		if !filepath.IsAbs(file) {
			file = filepath.Join(c.BaseDir, file)
		}
		pem, err := os.ReadFile(file)
		o.tls.RootCAs = x509.NewCertPool()
		if err != nil {
			v.Fail("tls_ca_file", "%v", err)
		} else if !o.tls.RootCAs.AppendCertsFromPEM(pem) {
			v.Fail("tls_ca_file", "has no certificate")
		}
	}
	return o, common, v.Err()
}

// checkFilter expands a filter once, so that a mistake shows at the start and not at the first login.
func checkFilter(v *authdb.Values, name, filter string) {
	v.CheckVariables(name, filter)
	if text, err := (authdb.Vars{User: "x@x"}).Expand(filter); err == nil && text != "" {
		if _, err := ldap.CompileFilter(text); err != nil {
			v.Fail(name, "is not a filter: %v", err)
		}
	}
}

// parseSearch reads the options NAME_filter, NAME_base and NAME_attrs.
func parseSearch(v *authdb.Values, name, base, attrs string) search {
	s := search{filter: v.Text(name + "_filter"), base: cmp.Or(v.Text(name+"_base"), base)}
	if s.filter == "" {
		return search{}
	}
	checkFilter(v, name+"_filter", s.filter)
	v.CheckVariables(name+"_base", s.base)
	var err error
	if s.attrs, err = parseAttrs(cmp.Or(v.Text(name+"_attrs"), attrs)); err != nil {
		v.Fail(name+"_attrs", "%v", err)
	}
	return s
}

// tlsFor returns the TLS settings for a URI.
func (o *options) tlsFor(uri string) *tls.Config {
	c := o.tls.Clone()
	if u, err := url.Parse(uri); err == nil && u.Hostname() != "" {
		c.ServerName = u.Hostname()
	}
	return c
}

func (o *options) dialer() *net.Dialer { return &net.Dialer{Timeout: o.timeout} }

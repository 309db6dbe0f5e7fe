package ldap

import (
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
	timeout                time.Duration
	connections            int
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
	for name, template := range map[string]string{"base": o.base, "pass_filter": o.passFilter, "user_filter": o.userFilter, "auth_bind_userdn": o.userDN} {
		v.CheckVariables(name, template)
	}
	for name, filter := range map[string]string{"pass_filter": o.passFilter, "user_filter": o.userFilter} {
		if text, err := (authdb.Vars{User: "x@x"}).Expand(filter); err == nil && text != "" {
			if _, err := ldap.CompileFilter(text); err != nil {
				v.Fail(name, "is not a filter: %v", err)
			}
		}
	}
	var err error
	if o.passAttrs, err = parseAttrs(v.Text("pass_attrs")); err != nil {
		v.Fail("pass_attrs", "%v", err)
	}
	if o.userAttrs, err = parseAttrs(v.Text("user_attrs")); err != nil {
		v.Fail("user_attrs", "%v", err)
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

// tlsFor returns the TLS settings for a URI.
func (o *options) tlsFor(uri string) *tls.Config {
	c := o.tls.Clone()
	if u, err := url.Parse(uri); err == nil && u.Hostname() != "" {
		c.ServerName = u.Hostname()
	}
	return c
}

func (o *options) dialer() *net.Dialer { return &net.Dialer{Timeout: o.timeout} }

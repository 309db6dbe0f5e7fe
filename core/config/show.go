package config

import (
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// masked stands for the value of a secret option.
const masked = "********"

// Show writes the effective configuration as TOML: every key with its value or
// default, paths absolute, secrets masked.
func (c *Config) Show(w io.Writer) error {
	p := c.print(func(string) string { return masked })
	_, err := io.WriteString(w, p.String())
	return err
}

// print writes the configuration, with what secret makes of a secret (as TOML) in its place.
func (c *Config) print(secret func(string) string) *printer {
	p := &printer{secret: secret}
	p.section("imap")
	p.set("listen", texts(c.IMAP.Listen))
	p.set("imaps_listen", texts(c.IMAP.IMAPSListen))
	p.set("allow_plaintext_auth", c.IMAP.AllowPlaintextAuth)
	p.set("greeting", quote(c.IMAP.Greeting))
	p.set("login_timeout", duration(c.IMAP.LoginTimeout))
	p.set("autologout", duration(c.IMAP.Autologout))
	p.set("idle_notify_interval", duration(c.IMAP.IdleNotifyInterval))
	p.set("progress_interval", duration(c.IMAP.ProgressInterval))
	p.set("urlauth_host", quote(c.IMAP.URLAuthHost))
	p.set("urlauth_port", c.IMAP.URLAuthPort)
	p.set("urlauth_submit_users", texts(c.IMAP.URLAuthSubmitUsers))
	p.section("tls")
	if c.TLS.Enabled() {
		p.set("cert", quote(c.TLS.Cert))
		p.set("key", quote(c.TLS.Key))
	}
	p.set("min_version", map[uint16]string{tls.VersionTLS12: `"1.2"`, tls.VersionTLS13: `"1.3"`}[c.TLS.MinVersion])
	p.set("sleep", quote(c.TLS.Sleep))
	p.set("client_cert", quote(c.TLS.ClientCert))
	if c.TLS.ClientCA != "" {
		p.set("client_ca", quote(c.TLS.ClientCA))
	}
	p.set("client_name", quote(c.TLS.ClientName))
	p.section("auth")
	p.set("mechanisms", texts(c.AuthMechanisms))
	p.set("failure_delay", duration(c.AuthFailureDelay))
	p.set("failure_delay_max", duration(c.MaxFailureDelay))
	p.set("cache_size", c.AuthCache.Size)
	p.set("cache_ttl", duration(c.AuthCache.TTL))
	p.set("cache_negative_ttl", duration(c.AuthCache.NegativeTTL))
	p.set("cache_fail_ttl", duration(c.AuthCache.FailTTL))
	p.plugin(c.Auth)
	p.section("storage")
	p.plugin(c.Storage)
	for _, n := range c.Namespaces {
		p.namespace(n)
	}
	p.section("hibernation")
	p.hibernation(c.Hibernation)
	p.section("notify")
	p.notify(c.Notify)
	p.section("admin")
	p.set("listen", quote(c.Admin.Listen))
	for _, e := range c.external {
		p.external(e)
	}
	p.section("limits")
	for _, l := range c.Limits.list() {
		switch {
		case l.time != nil:
			p.set(l.key, duration(*l.time))
		case l.path != nil:
			p.set(l.key, quote(*l.path))
		default:
			p.set(l.key, *l.number)
		}
	}
	p.section("keeper")
	p.set("enabled", c.Keeper.Enabled)
	p.set("control", quote(c.Keeper.Control))
	p.set("prepare_timeout", duration(c.Keeper.PrepareTimeout))
	p.set("handover_timeout", duration(c.Keeper.HandoverTimeout))
	p.section("log")
	p.set("level", quote(strings.ToLower(c.Log.Level.String())))
	p.set("format", quote(c.Log.Format))
	return p
}

// printer collects TOML.
type printer struct {
	strings.Builder
	secret func(string) string
}

func (p *printer) section(name string) {
	if p.Len() > 0 {
		p.WriteByte('\n')
	}
	fmt.Fprintf(p, "[%s]\n", name)
}

func (p *printer) set(key string, value any) { fmt.Fprintf(p, "%s = %v\n", key, value) }

func (p *printer) plugin(x Plugin) {
	p.set("plugin", quote(x.Name))
	p.set("isolation", quote(x.Isolation))
	if x.Kind == backend.KindStorage {
		p.set("read_only", x.ReadOnly)
	}
	shown := map[string]bool{}
	for _, o := range x.schema {
		shown[o.Name] = true
		v, given := x.Options[o.Name]
		switch {
		case given && o.Secret:
			p.set("options."+o.Name, quote(p.secret(literal(v))))
		case given:
			p.set("options."+o.Name, literal(v))
		case o.Default != "":
			p.set("options."+o.Name, defaultLiteral(o))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(x.Options)) {
		switch {
		case shown[name]:
		case secretName(name):
			p.set("options."+name, quote(p.secret(literal(x.Options[name]))))
		default:
			p.set("options."+name, literal(x.Options[name]))
		}
	}
}

// secretName guesses whether an option of a plugin that did not tell its schema is secret.
func secretName(name string) bool {
	for _, word := range []string{"pass", "secret", "token", "key", "credential", "dsn"} {
		if strings.Contains(strings.ToLower(name), word) {
			return true
		}
	}
	return false
}

// defaultLiteral returns a default as TOML, whether or not the plugin wrote the quotes.
func defaultLiteral(o backend.Option) string {
	switch o.Type {
	case backend.OptionString, backend.OptionSize, backend.OptionDuration:
		if !strings.HasPrefix(o.Default, `"`) && !strings.HasPrefix(o.Default, "'") {
			return quote(o.Default)
		}
	}
	return o.Default
}

func (p *printer) namespace(n backend.Namespace) {
	p.WriteString("\n[[namespace]]\n")
	p.set("name", quote(n.Name))
	p.set("prefix", quote(n.Prefix))
	p.set("separator", quote(string(n.Separator)))
	p.set("inbox", n.Inbox)
	p.set("list", n.List)
	p.set("subscriptions", n.Subscriptions)
	if n.Location != "" {
		p.set("location", quote(n.Location))
	}
	if n.Public {
		p.set("type", quote("public"))
	}
	var boxes []string
	for _, m := range n.Mailboxes {
		boxes = append(boxes, fmt.Sprintf("\n  { name = %s, special_use = %s, auto = %s },", quote(m.Name), quote(m.SpecialUse), quote(m.Auto)))
	}
	if len(boxes) > 0 {
		p.set("mailbox", "["+strings.Join(boxes, "")+"\n]")
	}
}

func (p *printer) external(e External) {
	p.section("plugins." + e.Name)
	p.set("kind", quote(string(e.Kind)))
	if len(e.Command) > 0 {
		p.set("command", texts(e.Command))
	}
	for _, f := range []struct{ key, value string }{{"address", e.Address}, {"sha256", e.SHA256}, {"user", e.User}, {"group", e.Group}} {
		if f.value != "" {
			p.set(f.key, quote(f.value))
		}
	}
	p.set("isolation", quote(e.Isolation))
	p.process(e.Process)
}

func duration(d time.Duration) string { return quote(d.String()) }

func texts(list []string) string { return "[" + quoteList(list) + "]" }

func quoteList(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = quote(s)
	}
	return strings.Join(quoted, ", ")
}

func literal(v any) string {
	switch v := v.(type) {
	case string:
		return quote(v)
	case []string:
		return texts(v)
	}
	return fmt.Sprint(v)
}

// quote writes a TOML basic string.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			b.WriteString(fmt.Sprintf(`\u%04x`, r))
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

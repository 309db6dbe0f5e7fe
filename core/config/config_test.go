package config

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/roostmail/roost/core/backend"
)

// bundled is a catalog with every type of option.
var bundled = Catalog{
	{Kind: backend.KindAuth, Name: "passwd-file", Options: []backend.Option{
		{Name: "path", Type: backend.OptionString, Required: true, Help: "the file"},
		{Name: "scheme", Type: backend.OptionString, Default: `"CRYPT"`},
		{Name: "fields", Type: backend.OptionStrings},
		{Name: "max", Type: backend.OptionInt, Default: "16"},
		{Name: "memory", Type: backend.OptionSize, Default: `"256M"`},
		{Name: "pepper", Type: backend.OptionString, Secret: true},
	}},
	{Kind: backend.KindStorage, Name: "mdbox", Options: []backend.Option{
		{Name: "mail_location", Type: backend.OptionString},
		{Name: "list_index", Type: backend.OptionBool, Default: "true"},
		{Name: "interval", Type: backend.OptionDuration, Default: "1d"},
	}},
	{Kind: backend.KindHibernation, Name: "adaptive", Options: []backend.Option{
		{Name: "warm", Type: backend.OptionDuration, Default: `"7s"`},
	}},
}

// designExample is the smallest roost.toml of the design.
const designExample = `
[imap]
listen = ["127.0.0.1:1143"]          # STARTTLS when [tls] is set
imaps_listen = ["127.0.0.1:1993"]    # needs [tls]
allow_plaintext_auth = true          # without TLS, on loopback or for tests
[tls]
cert = "cert.pem"
key  = "key.pem"
[auth]
plugin = "passwd-file"               # a bundled name, or a name defined under [plugins.NAME]
options.path = "users"               # Dovecot's passwd-file syntax, every scheme
[storage]
plugin = "mdbox"
options.mail_location = "mdbox:/srv/mail/%u/mdbox"     # Dovecot's syntax and variables
[[namespace]]
inbox = true
separator = "/"
mailbox = [{ name = "Sent", special_use = '\Sent', auto = "subscribe" }]
[hibernation]
plugin = "adaptive"
options.warm = "5s"
[notify]
plugin = "local"
[admin]
listen = "127.0.0.1:1180"            # /metrics, /healthz, status page
[plugins.my-auth]                    # an external plugin
kind = "auth"
command = ["/usr/lib/roost/my-auth"]
sha256 = "0123456789abcdef0123456789abcdef0123456789ABCDEF0123456789abcdef"
`

func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	c, errs := parse("roost.toml", "/etc/roost", text, bundled)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return c
}

func TestDesignExample(t *testing.T) {
	c := mustParse(t, designExample)
	if want := (TLS{"/etc/roost/cert.pem", "/etc/roost/key.pem", tls.VersionTLS12, TLSSleepRecords, ClientCertNone, "", ClientNameCommon}); c.TLS != want {
		t.Errorf("tls: %+v", c.TLS)
	}
	if !reflect.DeepEqual(c.IMAP.Listen, []string{"127.0.0.1:1143"}) || !reflect.DeepEqual(c.IMAP.IMAPSListen, []string{"127.0.0.1:1993"}) || !c.IMAP.AllowPlaintextAuth {
		t.Errorf("imap: %+v", c.IMAP)
	}
	if c.Auth.Name != "passwd-file" || !c.Auth.Bundled || c.Auth.Isolation != "process" || !reflect.DeepEqual(c.Auth.Options, map[string]any{"path": "users"}) {
		t.Errorf("auth: %+v", c.Auth)
	}
	wantNS := []backend.Namespace{{Separator: '/', Inbox: true, List: true, Subscriptions: true,
		Mailboxes: []backend.NamespaceMailbox{{Name: "Sent", SpecialUse: `\Sent`, Auto: "subscribe"}}}}
	if !reflect.DeepEqual(c.Namespaces, wantNS) {
		t.Errorf("namespaces: %+v", c.Namespaces)
	}
	if c.Hibernation.Name != "adaptive" || c.Notify.Name != "" || c.Admin.Listen != "127.0.0.1:1180" {
		t.Errorf("hibernation %+v, notify %+v, admin %+v", c.Hibernation, c.Notify, c.Admin)
	}
	if h := c.Hibernation; !h.Bundled || h.Warm != 5*time.Second || h.Interval != time.Second || h.Timeout != 500*time.Millisecond || h.Batch != 4096 || h.Memory != 0 || h.Queue != 0 {
		t.Errorf("hibernation %+v", h)
	}
	if c.Limits.UnauthenticatedLine != 8192 || c.Limits.SlowClientTimeout != 5*time.Minute || c.Limits.BadCommands != 20 {
		t.Errorf("limits: %+v", c.Limits)
	}
	b := c.Config(c.Storage)
	if b.ReadOnly || b.BaseDir != "/etc/roost" || len(b.Namespaces) != 1 || len(c.Config(c.Auth).Namespaces) != 0 {
		t.Errorf("config of storage: %+v", b)
	}
}

func TestEveryKey(t *testing.T) {
	c := mustParse(t, `
[imap]
imaps_listen = ["[::1]:993", ":1993"]
greeting = "hello"
login_timeout = "1 min"
autologout = "45m"
idle_notify_interval = "0"
[tls]
cert = "/c"
key = "/k"
min_version = "1.3"
sleep = "hold"
[auth]
plugin = "passwd-file"
failure_delay = "500ms"
isolation = "inproc"
[auth.options]
path = "u"
fields = ["a=b", "c"]
max = 3
memory = 1048576
pepper = "salty"
[storage]
plugin = "other"
options.anything = true
[limits]
line = "128k"
workers = 7
message = "50M"
spool_dir = "spool"
spool = "100M"
mailbox_warm = "0s"
[log]
level = "debug"
format = "json"
[plugins.other]
kind = "storage"
command = ["bin/other", "-x"]
user = "vmail"
group = "mail"
isolation = "process"
start_timeout = "1m"
restart.limit = 3
fail = "closed"
env = ["HOME", "A=b"]
limits = { memory = "512M", files = 100 }
sandbox = true
sandbox_read = ["x", "/y"]
`)
	want := map[string]any{"path": "u", "fields": []string{"a=b", "c"}, "max": int64(3), "memory": "1048576", "pepper": "salty"}
	if !reflect.DeepEqual(c.Auth.Options, want) || c.Auth.Isolation != IsolationInProcess || c.AuthFailureDelay != 500*time.Millisecond {
		t.Errorf("auth: %+v", c.Auth)
	}
	wantExternal := External{Name: "other", Kind: backend.KindStorage, Command: []string{"/etc/roost/bin/other", "-x"}, User: "vmail", Group: "mail",
		Isolation: "process", Process: c.Auth.External.Process}
	wantExternal.Process.StartTimeout, wantExternal.Process.Restart.Limit = time.Minute, 3
	wantExternal.Process.Env, wantExternal.Process.Limits = []string{"HOME", "A=b"}, ProcessLimits{Memory: 512 << 20, Files: 100}
	wantExternal.Process.Sandbox, wantExternal.Process.SandboxRead = true, []string{"/etc/roost/x", "/y"}
	if p := c.Auth.External.Process; p.StartTimeout != 10*time.Second || p.Restart.Rest != time.Minute || p.Restart.Limit != 10 || p.Fail != "closed" {
		t.Errorf("process of a plugin without a table: %+v", p)
	}
	if !reflect.DeepEqual(c.Storage.External, wantExternal) || c.Storage.Bundled || !reflect.DeepEqual(c.Storage.Options, map[string]any{"anything": true}) {
		t.Errorf("storage: %+v", c.Storage)
	}
	if c.TLS.MinVersion != tls.VersionTLS13 || c.TLS.Sleep != TLSSleepHold || c.IMAP.LoginTimeout != time.Minute || c.IMAP.Autologout != 45*time.Minute || c.IMAP.IdleNotifyInterval != 0 {
		t.Errorf("tls %+v imap %+v", c.TLS, c.IMAP)
	}
	if c.Limits.Line != 128<<10 || c.Limits.Workers != 7 || c.Limits.MailboxWarm != 0 || c.Limits.Message != 50<<20 ||
		c.Limits.Spool != 100<<20 || c.Limits.SpoolDir != "/etc/roost/spool" || c.Log != (Log{slog.LevelDebug, "json"}) {
		t.Errorf("limits %+v log %+v", c.Limits, c.Log)
	}
}

// minimal is a valid configuration to which the cases of mistakes are added.
const minimal = `[imap]
listen = ["127.0.0.1:143"]
[auth]
plugin = "passwd-file"
options.path = "users"
[storage]
plugin = "mdbox"
`

func TestMistakes(t *testing.T) {
	minimalLines := strings.Count(minimal, "\n")
	tests := []struct {
		name, text string
		line       int // within text
		want       string
	}{
		{"unknown section", "[limit]\nline = 1", 1, `limit: unknown key, did you mean "limits"?`},
		{"unknown key", "[limits]\n\nlien = 5", 3, `limits.lien: unknown key, did you mean "limits.line"?`},
		{"unlike any key", "[log]\nzzzzzzzzzz = 5", 2, `log.zzzzzzzzzz: unknown key; known are "level", "format"`},
		{"dotted key", "options.mail_locaton = 'x'", 1, `storage.options.mail_locaton: unknown key, did you mean "storage.options.mail_location"?`},
		{"key in an inline table", "[[namespace]]\ninbox = true\nmailbox = [\n  { name = 'a' },\n  { name = 'b', speciale_use = '\\Sent' },\n]", 5,
			`namespace[0].mailbox[1].speciale_use: unknown key, did you mean "namespace[0].mailbox[1].special_use"?`},
		{"second namespace", "[[namespace]]\ninbox = true\n[[namespace]]\nname = 'x'\nprefix = 'x/'\nseperator = '/'", 6, `namespace[1].seperator: unknown key, did you mean "namespace[1].separator"?`},
		{"wrong type", "[admin]\nlisten = 5", 2, "admin.listen: must be a string, not an integer"},
		{"wrong type in an array", "[plugins.x]\nkind='auth'\ncommand = ['/a',\n  5]", 4, "plugins.x.command[1]: must be a string, not an integer"},
		{"table for a value", "[log]\nlevel = {}", 2, "log.level: must be a string, not a table"},
		{"value for a table", "log = 5", 1, `unknown key`},
		{"bad choice", "[log]\nlevel = 'loud'", 2, `log.level: must be one of "debug", "info", "warn", "error", not "loud"`},
		{"bad size", "[limits]\nline = '5 apples'", 2, `limits.line: "5 apples" is not a size such as "10M"`},
		{"size out of range", "[limits]\nline = 5", 2, "limits.line: must be from 1024 to 1073741824 bytes, not 5"},
		{"spool too small", "[limits]\nspool = '10M'", 2, "limits.spool: must not be smaller than message"},
		{"bad time", "[limits]\nhandshake_timeout = 'soon'", 2, `limits.handshake_timeout: "soon" is not a time such as "30s"`},
		{"empty time", "[limits]\nhandshake_timeout = ''", 2, `"" is not a time`},
		{"time too short", "[limits]\nhandshake_timeout = '1ms'", 2, "must be 1s at least"},
		{"bad address", "[admin]\nlisten = 'localhost'", 2, `admin.listen: "localhost" is not an address`},
		{"bad port", "[admin]\nlisten = '127.0.0.1:99999'", 2, "has no port from 0 to 65535"},
		{"host name", "[admin]\nlisten = 'example.org:80'", 2, "has no IP address"},
		{"address of [imap]", "[admin]\nlisten = '127.0.0.1:143'", 2, "admin.listen: 127.0.0.1:143 is an address of [imap] as well"},
		{"key without cert", "[tls]\nkey = 'k'", 2, "tls.key: needs tls.cert"},
		{"sha256", "[plugins.x]\nkind = 'auth'\ncommand = ['/a']\nsha256 = 'abc'", 4, "plugins.x.sha256: must be 64 hex digits"},
		{"kind", "[plugins.x]\nkind = 'atuh'\ncommand = ['/a']", 2, "plugins.x.kind: must be one of"},
		{"no kind", "[plugins.x]\ncommand = ['/a']", 1, "plugins.x: needs kind"},
		{"no command", "[plugins.x]\nkind = 'auth'", 1, "plugins.x: needs command or address"},
		{"no pause", "[plugins.x]\nkind = 'auth'\ncommand = ['/a']\nrestart.min = '0s'", 4, "plugins.x.restart.min: must not be 0"},
		{"longest pause", "[plugins.x]\nkind = 'auth'\ncommand = ['/a']\nrestart.max = '1ms'", 4, "plugins.x.restart.max: must not be less than restart.min"},
		{"key of restart", "[plugins.x]\nkind = 'auth'\ncommand = ['/a']\nrestart.limits = 3", 4, `plugins.x.restart.limits: unknown key, did you mean "plugins.x.restart.limit"?`},
		{"fail of storage", "[plugins.x]\nkind = 'storage'\ncommand = ['/a']\nfail = 'open'", 4, `plugins.x.fail: of a plugin of kind storage must be "closed", not "open"`},
		{"fail of hibernation", "[plugins.x]\nkind = 'hibernation'\ncommand = ['/a']\nfail = 'closed'", 4, `must be "open", not "closed"`},
		{"sandbox paths without sandbox", "[plugins.x]\nkind = 'auth'\ncommand = ['/a']\nsandbox_read = ['/x']", 4, "plugins.x.sandbox_read: needs sandbox = true"},
		{"cgroup", "[plugins.x]\nkind = 'auth'\ncommand = ['/a']\nlimits.cgroup = 'a'", 4, "plugins.x.limits.cgroup: must be an absolute path"},
		{"cgroup limit without cgroup", "[plugins.x]\nkind = 'auth'\ncommand = ['/a']\nlimits.cgroup_cpu = 5", 4, "plugins.x.limits.cgroup_cpu: needs cgroup"},
		{"limits", "[plugins.x]\nkind = 'auth'\ncommand = ['/a']\nlimits.memory = 'much'", 4, `plugins.x.limits.memory: "much"`},
		{"env", "[plugins.x]\nkind = 'auth'\ncommand = ['/a']\nenv = ['A', '=x']", 4, `plugins.x.env[1]: must be NAME or NAME=value`},
		{"env with a blank", "[plugins.x]\nkind = 'auth'\ncommand = ['/a']\nenv = ['A B']", 4, `plugins.x.env[0]: must be NAME or NAME=value, not "A B"`},
		{"env with a NUL", "[plugins.x]\nkind = 'auth'\ncommand = ['/a']\nenv = [\"A=\\u0000\"]", 4, `plugins.x.env[0]: the value of A has a NUL in it`},
		{"address", "[plugins.x]\nkind = 'auth'\naddress = 'tcp://1.2.3.4'", 3, `plugins.x.address: must be "unix://" and an absolute path`},
		{"address and command", "[plugins.x]\nkind = 'auth'\naddress = 'unix:///x'\ncommand = ['/a']", 4, "plugins.x.command: is for plugins that roost starts"},
		{"command without path", "[plugins.x]\nkind = 'auth'\ncommand = ['a']", 3, "PATH is not searched"},
		{"separator", "[[namespace]]\ninbox = true\nseparator = '//'", 3, "namespace[0].separator: must be one character"},
		{"prefix", "[[namespace]]\ninbox = true\nprefix = 'x'", 3, "must end in the separator"},
		{"no inbox", "[[namespace]]\nprefix = 'x/'", 1, "one namespace needs inbox = true"},
		{"two inboxes", "[[namespace]]\ninbox = true\n[[namespace]]\nname = 'b'\nprefix = 'b/'\ninbox = true", 6, "only one namespace has INBOX"},
		{"special use", "[[namespace]]\ninbox = true\nmailbox = [{name = 'a', special_use = 'Sent'}]", 3, `unknown attribute "Sent"`},
		{"auto", "[[namespace]]\ninbox = true\nmailbox = [{name = 'a', auto = 'yes'}]", 3, `must be one of "no", "create", "subscribe"`},
		{"mailbox twice", "[[namespace]]\ninbox = true\nmailbox = [{name = 'a'}, {name = 'a'}]", 3, "more than once"},
		{"hibernation plugin", "[hibernation]\nplugin = 'adaptiv'", 2, `hibernation.plugin: there is no hibernation plugin "adaptiv", did you mean "adaptive"?`},
		{"hibernation options without a plugin", "[hibernation]\noptions.warm = '5s'", 1, `hibernation: needs plugin, one of "adaptive"`},
		{"hibernation key", "[hibernation]\nintervall = '5s'", 2, `hibernation.intervall: unknown key, did you mean "hibernation.interval"?`},
		{"hibernation interval", "[hibernation]\ninterval = '1ms'", 2, "hibernation.interval: must be 100ms at least"},
		{"hibernation timeout", "[hibernation]\ntimeout = '0s'", 2, "hibernation.timeout: must be 1ms at least"},
		{"hibernation batch", "[hibernation]\nbatch = 50001", 2, "hibernation.batch: must be from 1 to 50000, not 50001"},
		{"hibernation memory", "[hibernation]\nmemory = 'much'", 2, `hibernation.memory: "much" is not a size`},
		{"syntax", "[log]\nlevel = = 5", 2, "expected"},
		{"duplicate", "[log]\nlevel = 'info'\nlevel = 'info'", 3, "has already been defined"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, errs := parse("roost.toml", "/etc/roost", minimal+tt.text+"\n", bundled)
			if len(errs) != 1 {
				t.Fatalf("want one error, got %d: %v", len(errs), errs)
			}
			if e := errs[0]; e.Line != minimalLines+tt.line || !strings.Contains(e.Error(), tt.want) {
				t.Errorf("line %d: %v\nwant line %d, %q", e.Line-minimalLines, e, tt.line, tt.want)
			}
		})
	}
}

func TestMistakesOfPlugins(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"name", "[auth]\nplugin = 'passwd-fiel'\n", `roost.toml:2: auth.plugin: there is no auth plugin "passwd-fiel", did you mean "passwd-file"?`},
		{"kind", "[auth]\nplugin = 'x'\n[plugins.x]\nkind='storage'\ncommand=['/x']\n", `roost.toml:2: auth.plugin: "x" is a plugin of kind storage, not auth`},
		{"missing", "", "auth: needs plugin, one of \"passwd-file\""},
		{"required option", "[auth]\nplugin = 'passwd-file'\n", "roost.toml:1: auth.options: needs path: the file"},
		{"unknown option", "[auth]\nplugin = 'passwd-file'\noptions.path = 'x'\noptions.shceme = 'y'\n", `roost.toml:4: auth.options.shceme: unknown key, did you mean "auth.options.scheme"?`},
		{"type of an option", "[auth]\nplugin = 'passwd-file'\noptions.path = 'x'\noptions.max = 'y'\n", `roost.toml:4: auth.options.max: must be an integer, not a string`},
		{"isolation", "[auth]\nplugin = 'x'\nisolation = 'inproc'\n[plugins.x]\nkind='auth'\ncommand=['/x']\n", "roost.toml:3: auth.isolation: only bundled plugins run inside of roost"},
		{"external option", "[auth]\nplugin = 'x'\noptions.a = 1.5\n[plugins.x]\nkind='auth'\ncommand=['/x']\n", "roost.toml:3: auth.options.a: must be a string, a boolean, an integer or an array of strings, not a float"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, errs := parse("roost.toml", "/etc/roost", tt.text+"[storage]\nplugin = 'mdbox'\n[imap]\nlisten = ['127.0.0.1:1']\n", bundled)
			if len(errs) != 1 || !strings.Contains(errs.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", errs, tt.want)
			}
		})
	}
}

// TestMistakesOfUnnamedNamespaces: that two have no name hides nothing else that is wrong with them.
func TestMistakesOfUnnamedNamespaces(t *testing.T) {
	_, errs := parse("roost.toml", "/etc/roost", minimal+"[[namespace]]\ninbox = true\n[[namespace]]\nseparator = '.'\n", bundled)
	for _, want := range []string{`namespace[1].name: two namespaces are called ""`, `namespace[1].prefix: two namespaces have the prefix ""`,
		"namespace[1].separator: listed namespaces must have the same separator"} {
		if !strings.Contains(errs.Error(), want) {
			t.Errorf("%v\nwant %s, too", errs, want)
		}
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	_, errs := parse("roost.toml", "/", "[log]\nlevel = 'x'\n[imap]\nlisten = ['y', 'z']\n[auth]\nplugin = 5\n", bundled)
	var got []int
	for _, e := range errs {
		got = append(got, e.Line)
	}
	// Line 0: there is no [storage].
	if want := []int{0, 2, 4, 4, 5, 6}; !reflect.DeepEqual(got, want) {
		t.Errorf("lines %v, want %v:\n%v", got, want, errs)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "roost.toml")
	if _, err := Load(file, bundled); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if err := os.WriteFile(file, []byte(minimal+"[tls]\ncert = 'c.pem'\nkey = '../k.pem'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(file, bundled)
	if err != nil {
		t.Fatal(err)
	}
	if c.TLS.Cert != filepath.Join(dir, "c.pem") || c.TLS.Key != filepath.Join(filepath.Dir(dir), "k.pem") {
		t.Errorf("tls: %+v", c.TLS)
	}
}

// TestWarm: how long mailboxes stay warm where the policy does not say.
func TestWarm(t *testing.T) {
	const external = "[plugins.mine]\nkind = 'hibernation'\ncommand = ['/mine']\n"
	for _, tt := range []struct {
		text string
		want time.Duration
	}{
		{"", 5 * time.Second},
		{"[limits]\nmailbox_warm = '9s'\n", 9 * time.Second},
		{"[hibernation]\ninterval = '2s'\nmemory = '1G'\nqueue = 7\n[limits]\nmailbox_warm = '9s'\n", 9 * time.Second},
		{"[hibernation]\nplugin = 'adaptive'\n[limits]\nmailbox_warm = '9s'\n", 7 * time.Second},
		{"[hibernation]\nplugin = 'adaptive'\noptions.warm = '2 min'\n", 2 * time.Minute},
		{"[hibernation]\nplugin = 'mine'\noptions.warm = '3s'\n" + external, 3 * time.Second},
		{"[hibernation]\nplugin = 'mine'\noptions.warm = 'very'\n" + external, 5 * time.Second},
		{"[hibernation]\nplugin = 'mine'\noptions.warm = true\n" + external, 5 * time.Second},
	} {
		if c := mustParse(t, minimal+tt.text); c.Hibernation.Warm != tt.want {
			t.Errorf("%s\n%v, want %v", tt.text, c.Hibernation.Warm, tt.want)
		}
	}
}

// TestShowIsRead: what Show writes is the same configuration again, but for masked secrets.
func TestShowIsRead(t *testing.T) {
	for _, text := range []string{minimal, designExample, minimal + "[plugins.x]\nkind = 'state'\ncommand = ['/x', \"a\\\"\\u0007\"]\nuser = 'u'\n"} {
		c := mustParse(t, text)
		var shown strings.Builder
		if err := c.Show(&shown); err != nil {
			t.Fatal(err)
		}
		again := mustParse(t, shown.String())
		// Defaults are options now, and all stands in other lines.
		for _, p := range []*Plugin{&c.Auth, &c.Storage, &c.Hibernation.Plugin, &c.Notify.Plugin, &again.Auth, &again.Storage, &again.Hibernation.Plugin, &again.Notify.Plugin} {
			p.Options, p.At, p.Where = nil, nil, ""
		}
		if diff := cmp.Diff(c, again, cmp.AllowUnexported(Config{}, Plugin{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s\n%s", diff, shown.String())
		}
	}
}

func TestShowMasksSecrets(t *testing.T) {
	c := mustParse(t, minimal[:strings.Index(minimal, "[storage]")]+`options.pepper = "hunter2"
[storage]
plugin = "x"
options.dsn = "postgres://u:hunter2@h/"
options.api_token = "hunter2"
options.seen = "shown"
[plugins.x]
kind = "storage"
command = ["/x"]
`)
	var shown strings.Builder
	if err := c.Show(&shown); err != nil {
		t.Fatal(err)
	}
	if s := shown.String(); strings.Contains(s, "hunter2") || !strings.Contains(s, `options.pepper = "********"`) || !strings.Contains(s, `options.seen = "shown"`) {
		t.Error(s)
	}
}

// TestValuesTellSecretsApart: Values, which show makes, has no secret in it, but tells that one has changed.
func TestValuesTellSecretsApart(t *testing.T) {
	with := func(pepper, token, env string) map[string]string {
		return mustParse(t, minimal[:strings.Index(minimal, "[storage]")]+`options.pepper = "`+pepper+`"
[storage]
plugin = "x"
options.api_token = "`+token+`"
[plugins.x]
kind = "storage"
command = ["/x"]
env = ["A=`+env+`"]
`).show()
	}
	before, same := with("hunter1", "hunter2", "hunter3"), with("hunter1", "hunter2", "hunter3")
	if diff := cmp.Diff(before, same); diff != "" {
		t.Errorf("the same configuration, read twice: %s", diff)
	}
	after := with("hunter4", "hunter5", "hunter6")
	for _, key := range []string{"auth.options.pepper", "storage.options.api_token", "plugins.x.env"} {
		if before[key] == after[key] {
			t.Errorf("%s: %s is that of two secrets", key, before[key])
		}
	}
	for key, value := range before {
		if strings.Contains(value, "hunter") {
			t.Errorf("%s: %s", key, value)
		}
	}
}

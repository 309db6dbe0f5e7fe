package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/roostmail/roost/core/backend"
)

// Config is a whole, valid configuration with its defaults filled in.
type Config struct {
	File string // as given to Load
	Dir  string // absolute directory of File

	IMAP        IMAP
	TLS         TLS
	Auth        Plugin
	Storage     Plugin
	Hibernation Hibernation
	Notify      Notify
	Namespaces  []backend.Namespace
	Admin       Admin
	Limits      Limits
	Log         Log
	Keeper      Keeper

	AuthMechanisms   []string      // [auth] mechanisms, upper case
	AuthFailureDelay time.Duration // [auth] failure_delay
	MaxFailureDelay  time.Duration // [auth] failure_delay_max

	AuthCache AuthCache

	external []External // [plugins.NAME] in the order of their names
	values   map[string]string
}

// IMAP is [imap].
type IMAP struct {
	Listen             []string // host:port, STARTTLS if there is a certificate
	IMAPSListen        []string // host:port, implicit TLS
	AllowPlaintextAuth bool     // passwords over connections without TLS, also from other hosts
	Greeting           string
	LoginTimeout       time.Duration // from the connection to the login
	Autologout         time.Duration // without any input
	ProgressInterval   time.Duration // between the lines that tell how far a long command is; 0 = none
	IdleNotifyInterval time.Duration // between the lines that keep an IDLE's connection open; 0 = none
	URLAuthHost        string        // this server's name in URLs of URLAUTH; "" = no URLAUTH
	URLAuthPort        int           // and its port
	URLAuthSubmitUsers []string      // users that are submission servers
}

// TLS is [tls]. Cert "" = no TLS.
type TLS struct {
	Cert, Key  string // absolute paths of PEM files
	MinVersion uint16 // tls.VersionTLS12 or tls.VersionTLS13
	Sleep      string // TLSSleepRecords or TLSSleepHold

	ClientCert string // ClientCertNone, …
	ClientCA   string // absolute path of a PEM file; "" = none
	ClientName string // ClientNameCommon or ClientNameEmail
}

// Whether clients are asked for a certificate.
const (
	ClientCertNone     = "none"
	ClientCertOptional = "optional" // one that is given must be verified
	ClientCertRequired = "required"
)

// What in a client's certificate names its user.
const (
	ClientNameCommon = "commonName"   // of the subject
	ClientNameEmail  = "emailAddress" // the only rfc822Name of subjectAltName
)

// What a session with TLS 1.3 keeps between two commands.
const (
	TLSSleepRecords = "records" // 208 bytes, from which core/conn/tls13 goes on
	TLSSleepHold    = "hold"    // the state of crypto/tls
)

// Enabled reports whether a certificate is configured.
func (t TLS) Enabled() bool { return t.Cert != "" }

// Admin is [admin]. Listen "" = no admin listener.
type Admin struct{ Listen string }

// Log is [log].
type Log struct {
	Level  slog.Level
	Format string // "text" or "json"
}

// Isolation says where a bundled plugin runs.
const (
	IsolationProcess   = "process"
	IsolationInProcess = "inproc"
)

// Plugin is the plugin that is used for one kind.
type Plugin struct {
	Kind      backend.Kind
	Name      string
	Isolation string
	ReadOnly  bool              // of storage: nothing is changed on disk
	Options   map[string]any    // as backend.Config.Options; without defaults
	At        map[string]string // FILE:LINE of each option that is given, and of all as ""
	Where     string            // FILE:LINE of what says how it is run: its table in [plugins], else its section
	External  External          // of a bundled plugin without a table of its own only Process is set
	Bundled   bool

	schema []backend.Option // of a bundled plugin
}

// External is a [plugins.NAME] table: how a plugin's process is started.
type External struct {
	Name        string
	Kind        backend.Kind
	Command     []string // empty: a bundled plugin of this name, started by roost itself
	Address     string   // "unix:///…", of a plugin that the operator runs; then Command is empty
	SHA256      string   // of Command[0], 64 hex digits; "" = not checked
	User, Group string   // "" = those of roost
	Isolation   string   // "process"
	Process     Process
}

// Catalog lists the bundled plugins.
type Catalog []backend.Info

// find returns the Info of a bundled plugin, or false.
func (c Catalog) find(kind backend.Kind, name string) (backend.Info, bool) {
	for _, info := range c {
		if info.Kind == kind && info.Name == name {
			return info, true
		}
	}
	return backend.Info{}, false
}

// Load reads and checks a file. The error is an Errors if the file could be read.
func Load(file string, bundled Catalog) (*Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	c, errs := parse(file, dir, string(text), bundled)
	if len(errs) > 0 {
		return nil, errs
	}
	c.values = c.show()
	return c, nil
}

// parse reads a configuration from its text. dir is what relative paths are relative to.
func parse(file, dir, text string, bundled Catalog) (*Config, Errors) {
	raw := map[string]any{}
	if _, err := toml.Decode(text, &raw); err != nil {
		return nil, Errors{syntaxError(file, err)}
	}
	d := &document{file: file, dir: dir, lines: scan(text)}
	root := &table{doc: d, raw: raw}
	c := &Config{File: file, Dir: dir}
	c.TLS = readTLS(root.sub("tls"))
	c.IMAP = readIMAP(root.sub("imap"), c.TLS)
	c.external = readExternals(root.sub("plugins"), bundled)
	r := pluginReader{bundled: bundled, external: c.external}
	auth := root.sub("auth")
	c.AuthMechanisms = readMechanisms(auth, c.TLS)
	c.AuthFailureDelay = auth.duration("failure_delay", 2*time.Second)
	c.MaxFailureDelay = auth.duration("failure_delay_max", 15*time.Second)
	c.AuthCache = readAuthCache(auth)
	c.Auth = r.read(auth, backend.KindAuth, true)
	c.AuthCache.check(auth, c.Auth)
	c.Storage = r.read(root.sub("storage"), backend.KindStorage, true)
	hibernation := root.sub("hibernation")
	c.Notify = readNotify(root.sub("notify"), r)
	c.Namespaces = readNamespaces(root.subs("namespace"))
	c.Admin = readAdmin(root.sub("admin"), c.IMAP)
	c.Limits = readLimits(root.sub("limits"))
	c.Hibernation = readHibernation(hibernation, r, c.Limits)
	c.Log = readLog(root.sub("log"))
	c.Keeper = readKeeper(root.sub("keeper"))
	root.done()
	d.errs.sort()
	return c, d.errs
}

func syntaxError(file string, err error) *Error {
	var p toml.ParseError
	if errors.As(err, &p) {
		return &Error{File: file, Line: p.Position.Line, Msg: p.Message}
	}
	return &Error{File: file, Msg: err.Error()}
}

func readTLS(t *table) TLS {
	c := TLS{Cert: t.doc.absolute(t.text("cert", "")), Key: t.doc.absolute(t.text("key", ""))}
	c.MinVersion = tls.VersionTLS12
	if t.oneOf("min_version", "1.2", "1.2", "1.3") == "1.3" {
		c.MinVersion = tls.VersionTLS13
	}
	c.Sleep = t.oneOf("sleep", TLSSleepRecords, TLSSleepRecords, TLSSleepHold)
	switch {
	case c.Cert != "" && c.Key == "":
		t.fail("cert", "needs tls.key")
	case c.Cert == "" && c.Key != "":
		t.fail("key", "needs tls.cert")
	}
	c.ClientCert = t.oneOf("client_cert", ClientCertNone, ClientCertNone, ClientCertOptional, ClientCertRequired)
	c.ClientCA = t.doc.absolute(t.text("client_ca", ""))
	c.ClientName = t.oneOf("client_name", ClientNameCommon, ClientNameCommon, ClientNameEmail)
	switch {
	case c.ClientCert != ClientCertNone && c.ClientCA == "":
		t.fail("client_cert", "needs tls.client_ca")
	case c.ClientCert != ClientCertNone && c.Cert == "":
		t.fail("client_cert", "needs tls.cert")
	}
	t.done()
	return c
}

func readIMAP(t *table, certificate TLS) IMAP {
	c := IMAP{
		Listen:             addresses(t, "listen"),
		IMAPSListen:        addresses(t, "imaps_listen"),
		AllowPlaintextAuth: t.yes("allow_plaintext_auth", false),
		Greeting:           t.text("greeting", "roost ready."),
		LoginTimeout:       t.duration("login_timeout", 3*time.Minute),
		Autologout:         t.duration("autologout", 30*time.Minute),
		IdleNotifyInterval: t.duration("idle_notify_interval", 2*time.Minute),
		ProgressInterval:   t.duration("progress_interval", 10*time.Second),
		URLAuthHost:        t.text("urlauth_host", ""),
		URLAuthPort:        t.integer("urlauth_port", 143, 1, 65535),
		URLAuthSubmitUsers: t.texts("urlauth_submit_users"),
	}
	if len(c.Listen) == 0 && len(c.IMAPSListen) == 0 {
		t.doc.fail(t.path, "needs listen or imaps_listen")
	}
	if len(c.IMAPSListen) > 0 && !certificate.Enabled() {
		t.fail("imaps_listen", "needs tls.cert and tls.key")
	}
	seen := map[string]bool{}
	for _, a := range append(append([]string(nil), c.Listen...), c.IMAPSListen...) {
		if _, port, _ := splitAddress(a); seen[a] && port != "0" {
			t.doc.fail(t.path, "the address %s is there more than once", a)
		}
		seen[a] = true
	}
	for _, r := range c.Greeting {
		if r < ' ' || r > '~' {
			t.fail("greeting", "must be printable ASCII")
			break
		}
	}
	if strings.ContainsAny(c.URLAuthHost, ":/@ ") {
		t.fail("urlauth_host", "must be the name of a host, without port")
	}
	if c.Autologout > 0 && c.Autologout < 30*time.Minute {
		t.fail("autologout", "must be 30 minutes at least (RFC 3501 §5.4)")
	}
	t.done()
	return c
}

func readAdmin(t *table, imap IMAP) Admin {
	c := Admin{Listen: t.text("listen", "")}
	if c.Listen != "" {
		switch _, port, err := splitAddress(c.Listen); {
		case err != nil:
			t.fail("listen", "%v", err)
		case port != "0" && slices.Contains(slices.Concat(imap.Listen, imap.IMAPSListen), c.Listen):
			t.fail("listen", "%s is an address of [imap] as well", c.Listen)
		}
	}
	t.done()
	return c
}

func readLog(t *table) Log {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	c := Log{
		Level:  levels[t.oneOf("level", "info", "debug", "info", "warn", "error")],
		Format: t.oneOf("format", "text", "text", "json"),
	}
	t.done()
	return c
}

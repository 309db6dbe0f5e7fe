package rig

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/BurntSushi/toml"
)

// RoostOptions says how a roost under test is set up.
type RoostOptions struct {
	Binary   string // path of bin/roost
	Dir      string // configuration and certificate go here
	Home     string // home directory of every user (%u allowed); becomes userdb field home
	Location string // mail_location, default "mdbox:~/mdbox"
	Users    []string
	Passwd   string // a passwd-file of Dovecot's syntax, used instead of Home and Users
	Spaces   string // [[namespace]] tables, default one with INBOX, "/" and special uses
	Storage  string // further lines below [storage], such as options.mail_attachment_dir = "…"
	Extra    string // further TOML
	Over     string // TOML that is laid over all of this: it may set what is set before
	Env      []string
}

// Roost is a running roost. Every user of RoostOptions.Users has the password "pass".
type Roost struct {
	Addr, TLSAddr, Admin string
	Config               string
	Storage              string // the storage plugin
	cmd                  *exec.Cmd
	done                 chan struct{}
	mu                   sync.Mutex
	log                  bytes.Buffer
}

// StartRoost writes roost.toml and users, starts "roost serve", and returns when it logged msg=ready.
func StartRoost(o RoostOptions) (*Roost, error) {
	return attempts(func() (*Roost, error) { return startRoost(o) })
}

func startRoost(o RoostOptions) (*Roost, error) {
	if o.Location == "" {
		o.Location = "mdbox:~/mdbox"
	}
	if o.Spaces == "" {
		o.Spaces = roostSpaces
	}
	ports, err := FreePorts(3)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	cert, key, err := WriteCert(o.Dir)
	if err != nil {
		return nil, err
	}
	var users strings.Builder
	for _, u := range o.Users {
		fmt.Fprintf(&users, "%s:{PLAIN}pass:%d:%d::%s\n", u, MailUID, MailUID, strings.ReplaceAll(o.Home, "%u", u))
	}
	if o.Passwd == "" {
		o.Passwd = filepath.Join(o.Dir, "users")
		if err := os.WriteFile(o.Passwd, []byte(users.String()), 0o600); err != nil {
			return nil, err
		}
	}
	r := &Roost{
		Addr:    fmt.Sprintf("127.0.0.1:%d", ports[0]),
		TLSAddr: fmt.Sprintf("127.0.0.1:%d", ports[1]),
		Admin:   fmt.Sprintf("127.0.0.1:%d", ports[2]),
		Config:  filepath.Join(o.Dir, "roost.toml"),
		done:    make(chan struct{}),
	}
	driver, _, _ := strings.Cut(o.Location, ":") // the plugin has the name of the format
	r.Storage = driver
	conf := fmt.Sprintf(roostConf, r.Addr, r.TLSAddr, cert, key, o.Passwd, driver, o.Location, o.Storage, o.Spaces, r.Admin, o.Extra)
	if o.Over != "" {
		if conf, err = overlay(conf, o.Over); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(r.Config, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	r.cmd = exec.Command(o.Binary, "serve", "--config", r.Config)
	r.cmd.Env = append(os.Environ(), o.Env...)
	pr, pw := io.Pipe()
	r.cmd.Stderr, r.cmd.Stdout = pw, pw
	ready := make(chan struct{})
	go r.readLog(pr, ready)
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		r.cmd.Wait()
		pw.Close()
		close(r.done)
	}()
	select {
	case <-ready:
		return r, nil
	case <-r.done:
		return nil, fmt.Errorf("roost ended before it was ready:\n%s", lastLines(r.Log(), 15))
	case <-time.After(30 * time.Second):
		r.Kill()
		return nil, fmt.Errorf("roost is not ready after 30 s:\n%s", lastLines(r.Log(), 15))
	}
}

// overlay returns a TOML text with the tables of both, in which over decides about a key that both have.
func overlay(conf, over string) (string, error) {
	base, top := map[string]any{}, map[string]any{}
	if _, err := toml.Decode(conf, &base); err != nil {
		return "", err
	}
	if _, err := toml.Decode(over, &top); err != nil {
		return "", fmt.Errorf("%w in %q", err, over)
	}
	merge(base, top)
	var b strings.Builder
	err := toml.NewEncoder(&b).Encode(base)
	return b.String(), err
}

func merge(base, top map[string]any) {
	for k, v := range top {
		below, ok1 := base[k].(map[string]any)
		above, ok2 := v.(map[string]any)
		if ok1 && ok2 {
			merge(below, above)
		} else {
			base[k] = v
		}
	}
}

const roostConf = `[imap]
listen = [%q]
imaps_listen = [%q]
allow_plaintext_auth = true
[tls]
cert = %q
key = %q
[auth]
plugin = "passwd-file"
options.path = %q
[storage]
plugin = %q
options.mail_location = %q
%s
%s
[admin]
listen = %q
[keeper]
control = "control.sock"
%s
`

const roostSpaces = `[[namespace]]
inbox = true
separator = "/"
mailbox = [
  { name = "Drafts", special_use = '\Drafts' },
  { name = "Sent", special_use = '\Sent' },
  { name = "Junk", special_use = '\Junk' },
  { name = "Trash", special_use = '\Trash' },
]
`

// readLog keeps what roost writes and closes ready at the line msg=ready.
func (r *Roost) readLog(src io.Reader, ready chan struct{}) {
	sc := bufio.NewScanner(src)
	sc.Buffer(nil, 1<<20)
	seen := false
	for sc.Scan() {
		line := sc.Text()
		r.mu.Lock()
		r.log.WriteString(line)
		r.log.WriteByte('\n')
		r.mu.Unlock()
		if !seen && (strings.Contains(line, "msg=ready") || strings.Contains(line, `"msg":"ready"`)) {
			seen = true
			close(ready)
		}
	}
}

// Log returns everything roost has written so far.
func (r *Roost) Log() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

// PID returns the process id of the keeper, which all other processes of roost descend from.
func (r *Roost) PID() int { return r.cmd.Process.Pid }

// CorePIDs returns the process ids of the keeper's children: one core, or two in a reload.
func (r *Roost) CorePIDs() []int { return CoresOf(r.PID()) }

// CoresOf is CorePIDs of any keeper.
func CoresOf(keeper int) []int {
	var cores []int
	for _, p := range Tree(keeper) {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p))
		if f := strings.Split(string(b), "\x00"); len(f) > 1 && f[1] == "core" {
			cores = append(cores, p)
		}
	}
	return cores
}

// Metric returns the value of a metric without labels.
func (r *Roost) Metric(name string) (float64, error) {
	resp, err := http.Get("http://" + r.Admin + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	sc := bufio.NewScanner(resp.Body)
	for sc.Scan() {
		if value, ok := strings.CutPrefix(sc.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	if err := sc.Err(); err != nil {
		return 0, err
	}
	return 0, fmt.Errorf("roost has no metric %s", name)
}

// PluginPID returns the process id of the child "roost plugin NAME", such as storage/mdbox.
func (r *Roost) PluginPID(name string) (int, error) {
	for _, p := range Tree(r.PID()) {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p))
		if strings.Contains(strings.ReplaceAll(string(b), "\x00", " "), "plugin "+name) {
			return p, nil
		}
	}
	return 0, fmt.Errorf("no child runs plugin %s", name)
}

// Stop asks roost to end (SIGTERM), and returns after it ended.
func (r *Roost) Stop() error {
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-r.done:
		return nil
	case <-time.After(30 * time.Second):
		r.Kill()
		return errors.New("roost did not end within 30 s of SIGTERM")
	}
}

// Kill ends the keeper, and so core, with SIGKILL and returns after it ended.
func (r *Roost) Kill() {
	r.cmd.Process.Kill()
	<-r.done
}

package rig

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// DovecotOptions says how a private Dovecot is set up.
type DovecotOptions struct {
	Dir      string // everything of it lies here; made if absent
	Home     string // home directory of every user; may hold %u. Default Dir/mail/%u
	Location string // mail_location, default "mdbox:~/mdbox"
	UID      int    // owner of the mail, default MailUID
	Passwd   string // a passwd-file with users, passwords, uids and homes, used instead of Home, UID and the password "pass" for everybody
	Extra    string // further configuration lines, which may set what is set before them
}

// Dovecot is a running private Dovecot. Every user name logs in with the password "pass".
type Dovecot struct {
	Addr    string // IMAP with STARTTLS, plaintext login allowed
	TLSAddr string // IMAPS
	Conf    string // path of dovecot.conf, for doveadm -c
	Log     string // path of its log
	pidFile string
	root    string   // of Dovecot 2.4, "" = the machine's own
	mounts  []string // within root
}

// StartDovecot writes a configuration and starts the server: login processes
// that are reused, no limits that a benchmark would meet.
func StartDovecot(o DovecotOptions) (*Dovecot, error) {
	return attempts(func() (*Dovecot, error) { return startDovecot(o) })
}

func startDovecot(o DovecotOptions) (*Dovecot, error) {
	if err := need("dovecot", "dovecot-imapd"); err != nil {
		return nil, err
	}
	if o.Location == "" {
		o.Location = "mdbox:~/mdbox"
	}
	if o.UID == 0 {
		o.UID = MailUID
	}
	if o.Home == "" && o.Passwd == "" {
		o.Home = filepath.Join(o.Dir, "mail", "%u")
		mail := filepath.Join(o.Dir, "mail")
		if err := os.MkdirAll(mail, 0o755); err != nil {
			return nil, err
		}
		if err := os.Chown(mail, o.UID, o.UID); err != nil {
			return nil, err
		}
	}
	ports, err := FreePorts(2)
	if err != nil {
		return nil, err
	}
	for _, d := range []string{o.Dir, filepath.Join(o.Dir, "run"), filepath.Join(o.Dir, "state")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	cert, key, err := WriteCert(o.Dir)
	if err != nil {
		return nil, err
	}
	d := &Dovecot{
		Addr:    fmt.Sprintf("127.0.0.1:%d", ports[0]),
		TLSAddr: fmt.Sprintf("127.0.0.1:%d", ports[1]),
		Conf:    filepath.Join(o.Dir, "dovecot.conf"),
		Log:     filepath.Join(o.Dir, "dovecot.log"),
		pidFile: filepath.Join(o.Dir, "run", "master.pid"),
	}
	driver, passArgs, userArgs := "static", "password=pass", fmt.Sprintf("uid=%d gid=%d home=%s", o.UID, o.UID, o.Home)
	if o.Passwd != "" {
		driver, passArgs, userArgs = "passwd-file", "username_format=%u "+o.Passwd, "username_format=%u "+o.Passwd
	}
	conf := fmt.Sprintf(dovecotConf, o.Dir, cert, key, o.Location, driver, passArgs, ports[0], ports[1], o.Extra, userArgs)
	if err := os.WriteFile(d.Conf, []byte(conf), 0o644); err != nil {
		return nil, err
	}
	// A log that Dovecot's mail processes (another uid) may append to.
	if err := os.WriteFile(d.Log, nil, 0o666); err != nil {
		return nil, err
	}
	if err := os.Chmod(d.Log, 0o666); err != nil {
		return nil, err
	}
	// The daemon keeps its standard error open: a pipe would never end, so it gets a file.
	startErr, err := os.Create(filepath.Join(o.Dir, "start.err"))
	if err != nil {
		return nil, err
	}
	defer startErr.Close()
	cmd := exec.Command("dovecot", "-c", d.Conf)
	cmd.Stdout, cmd.Stderr = startErr, startErr
	if err := cmd.Run(); err != nil {
		out, _ := os.ReadFile(startErr.Name())
		log, _ := os.ReadFile(d.Log)
		return nil, fmt.Errorf("dovecot: %v: %s\n%s", err, bytes.TrimSpace(out), lastLines(string(log), 10))
	}
	for _, a := range []string{d.Addr, d.TLSAddr} {
		if err := waitDial(a, 20*time.Second); err != nil {
			d.Stop()
			log, _ := os.ReadFile(d.Log)
			return nil, fmt.Errorf("dovecot: %w\n%s", err, lastLines(string(log), 10))
		}
	}
	// Its sockets accept before the master has written its pid, without which nobody could stop it.
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := d.PID(); err == nil {
			return d, nil
		} else if time.Now().After(end) {
			return nil, fmt.Errorf("dovecot: %w", err)
		}
	}
}

const dovecotConf = `base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[1]s/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <%[2]s
ssl_key = <%[3]s
disable_plaintext_auth = no
auth_username_format = %%u
first_valid_uid = 1
first_valid_gid = 1
mail_max_userip_connections = 0
default_process_limit = 2000
default_client_limit = 15000
mail_location = %[4]s
passdb {
  driver = %[5]s
  args = %[6]s
}
userdb {
  driver = %[5]s
  args = %[10]s
}
service imap-login {
  service_count = 0
  process_min_avail = 2
  client_limit = 6000
  inet_listener imap {
    address = 127.0.0.1
    port = %[7]d
  }
  inet_listener imaps {
    address = 127.0.0.1
    port = %[8]d
    ssl = yes
  }
}
service imap {
  service_count = 0
  process_limit = 2000
}
namespace inbox {
  inbox = yes
  separator = /
  mailbox Drafts {
    special_use = \Drafts
  }
  mailbox Sent {
    special_use = \Sent
  }
  mailbox Junk {
    special_use = \Junk
  }
  mailbox Trash {
    special_use = \Trash
  }
}
%[9]s
`

// PID returns the master's process id.
func (d *Dovecot) PID() (int, error) {
	b, err := os.ReadFile(d.pidFile)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// Doveadm runs doveadm with the server's configuration and returns its standard output.
func (d *Dovecot) Doveadm(args ...string) (string, error) {
	args = append([]string{"doveadm", "-c", d.Conf}, args...)
	if d.root != "" {
		args = append([]string{"chroot", d.root}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("doveadm %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(errOut.Bytes()))
	}
	return string(out), nil
}

// Stop ends the master and waits until it and its children are gone.
func (d *Dovecot) Stop() error {
	err := d.stop()
	return errors.Join(err, d.unmount())
}

func (d *Dovecot) stop() error {
	pid, err := d.PID()
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if !bytes.Contains(cmdline, []byte(d.Conf)) {
		return nil // somebody else's pid by now
	}
	tree := Tree(pid)
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return err
	}
	// Its processes take their time when they are idle; they have nothing to lose then.
	start, asked := time.Now(), false
	for {
		alive, waited := 0, time.Since(start)
		ask := !asked && waited > 300*time.Millisecond
		asked = asked || ask
		for _, p := range tree {
			if _, err := os.Stat(fmt.Sprintf("/proc/%d", p)); err != nil {
				continue
			}
			alive++
			switch {
			case waited > 15*time.Second:
				syscall.Kill(p, syscall.SIGKILL)
			case ask && p != pid:
				syscall.Kill(p, syscall.SIGTERM)
			}
		}
		if alive == 0 {
			return nil
		}
		if waited > 20*time.Second {
			return fmt.Errorf("dovecot: %d processes do not end", alive)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

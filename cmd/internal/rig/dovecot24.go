package rig

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Root24 makes a Debian root with Dovecot 2.4 in dir, unless there is one: half a minute and 300 MB. It needs debootstrap, and root.
func Root24(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "usr/sbin/dovecot")); err == nil {
		return nil
	}
	cmd := exec.Command("debootstrap", "--variant=minbase", "--include=dovecot-core,dovecot-imapd", "trixie", dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("debootstrap (Debian package debootstrap): %w\n%s", err, lastLines(string(out), 10))
	}
	return nil
}

// StartDovecot24 starts the Dovecot 2.4 of a root that Root24 has made. Mail is where o says, outside of the root: it is mounted there
// until Stop. Of o, Dir, Home, UID, Extra, and format and path of Location are used.
func StartDovecot24(root string, o DovecotOptions) (*Dovecot, error) {
	return attempts(func() (*Dovecot, error) { return startDovecot24(root, o) })
}

func startDovecot24(root string, o DovecotOptions) (*Dovecot, error) {
	if o.UID == 0 {
		o.UID = MailUID
	}
	if o.Location == "" {
		o.Location = "mdbox:~/mdbox"
	}
	driver, path, _ := strings.Cut(o.Location, ":")
	ports, err := FreePorts(1)
	if err != nil {
		return nil, err
	}
	for _, d := range []string{o.Dir, filepath.Join(o.Dir, "run"), filepath.Join(o.Dir, "state"), filepath.Join(root, o.Dir), filepath.Join(root, filepath.Dir(o.Home))} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	d := &Dovecot{
		Addr:    fmt.Sprintf("127.0.0.1:%d", ports[0]),
		Conf:    filepath.Join(o.Dir, "dovecot.conf"),
		Log:     filepath.Join(o.Dir, "dovecot.log"),
		pidFile: filepath.Join(o.Dir, "run", "master.pid"),
		root:    root,
	}
	for _, dir := range []string{o.Dir, filepath.Dir(o.Home)} {
		if err := d.mount(dir); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(d.Conf, fmt.Appendf(nil, dovecot24Conf, o.Dir, o.UID, strings.ReplaceAll(o.Home, "%u", "%{user}"), ports[0], driver, path, o.Extra), 0o644); err != nil {
		return nil, err
	}
	if err := os.WriteFile(d.Log, nil, 0o666); err != nil {
		return nil, err
	}
	if err := os.Chmod(d.Log, 0o666); err != nil {
		return nil, err
	}
	startErr, err := os.Create(filepath.Join(o.Dir, "start.err"))
	if err != nil {
		return nil, err
	}
	defer startErr.Close()
	cmd := exec.Command("chroot", root, "dovecot", "-c", d.Conf)
	cmd.Stdout, cmd.Stderr = startErr, startErr
	if err := cmd.Run(); err == nil {
		err = waitDial(d.Addr, 20*time.Second)
		if err == nil {
			return d, nil
		}
	}
	out, _ := os.ReadFile(startErr.Name())
	log, _ := os.ReadFile(d.Log)
	d.Stop()
	return nil, fmt.Errorf("dovecot 2.4 does not start: %s\n%s", out, lastLines(string(log), 10))
}

// mount shows dir at the same path within the root.
func (d *Dovecot) mount(dir string) error {
	at := filepath.Join(d.root, dir)
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(dir, at, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s: %w", at, err)
	}
	d.mounts = append(d.mounts, at)
	return nil
}

// unmount takes away what mount has shown.
func (d *Dovecot) unmount() (err error) {
	for _, at := range d.mounts {
		if e := unix.Unmount(at, unix.MNT_DETACH); e != nil {
			err = e
		}
	}
	d.mounts = nil
	return err
}

const dovecot24Conf = `dovecot_config_version = 2.4.1
dovecot_storage_version = 2.4.1
base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[1]s/dovecot.log
protocols {
  imap = yes
}
listen = 127.0.0.1
ssl = no
auth_allow_cleartext = yes
default_internal_user = nobody
default_login_user = nobody
first_valid_uid = 1
first_valid_gid = 1
mail_max_userip_connections = 0
mail_driver = %[5]s
mail_path = %[6]s
passdb static {
  password = pass
}
userdb static {
  fields {
    uid = %[2]d
    gid = %[2]d
    home = %[3]s
  }
}
service imap-login {
  inet_listener imap {
    port = %[4]d
  }
  inet_listener imaps {
    port = 0
  }
  service_restart_request_count = unlimited
}
namespace inbox {
  inbox = yes
  separator = /
}
%[7]s
`

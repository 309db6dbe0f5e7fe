package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/cmd/internal/rig"
	"github.com/roostmail/roost/cmd/internal/traffic"
)

// TestDiskFull lets 8 clients work while the file system of the mail is full every other second. Clients are told so and lose nothing,
// and the store is one that Dovecot serves and, after the first change that there was room for, has nothing to repair in.
func TestDiskFull(t *testing.T) {
	mail := filepath.Join(tempDir(t), "mail")
	must(t, os.Mkdir(mail, 0o755))
	size := 64 * max(1, int(soak(t)/time.Minute))                                 // MiB: that it is the filler that fills it, and not the mail
	must(t, unix.Mount("tmpfs", mail, "tmpfs", 0, fmt.Sprintf("size=%dm", size))) // as root, as all tests that start Dovecot
	unmount := sync.OnceFunc(func() { must(t, unix.Unmount(mail, unix.MNT_DETACH)) })
	t.Cleanup(unmount)
	must(t, os.Chown(mail, rig.MailUID, rig.MailUID))
	home := filepath.Join(mail, "%u")
	r := startRoost(t, rig.RoostOptions{Home: home, Users: []string{storeUser}})

	filler := filepath.Join(mail, "filler")
	full := false
	stop := every(t, func() {
		if full {
			os.Remove(filler)
		} else if err := fill(filler); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("filling the disk: %v", err)
		}
		full = !full
	})
	l := work(t, soak(t)/4, traffic.Config{DiskFull: true, Servers: []traffic.Server{{Name: "r", Addr: r.Addr, Clients: 8}}})
	stop()
	os.Remove(filler)
	must(t, unix.Mount("tmpfs", mail, "tmpfs", unix.MS_REMOUNT, "size=4g")) // room for Dovecot, however much mail there is by now
	refused := 0
	for what, n := range l.Refused {
		if strings.HasPrefix(what, "APPEND: NO [OVERQUOTA]") {
			refused += n
		}
	}
	if refused == 0 {
		t.Error("no APPEND was refused")
	}
	c := login(t, r.Addr, storeUser)
	for _, command := range []string{"CREATE room", "APPEND room {1+}\r\nx", "DELETE room"} { // what could not be given back, is now
		cmd(t, c, "%s", command)
	}
	judge(t, l, startDovecot(t, rig.DovecotOptions{Home: home}), r)
}

// fill writes to a file of path until there is an error.
func fill(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for size := 1 << 20; ; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			if size == 512 {
				return err
			}
			size /= 2
		}
	}
}

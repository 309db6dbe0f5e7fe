package host

import (
	"syscall"
	"testing"
)

func TestWhoStartsAsSomebodyElse(t *testing.T) {
	for _, x := range []struct {
		c        syscall.Credential
		uid, gid int
		can, ok  bool
	}{
		{syscall.Credential{Uid: 5000, Gid: 5000}, 0, 0, true, true},
		{syscall.Credential{Uid: 5000, Gid: 5000}, 5000, 5000, false, true},
		{syscall.Credential{Uid: 5000, Gid: 5000}, 65534, 65534, false, false},
		{syscall.Credential{Uid: 5000, Gid: 5000}, 65534, 65534, true, true},
		{syscall.Credential{Uid: 5000, Gid: 8}, 5000, 5000, false, false},
	} {
		if err := mayStartAs(&x.c, x.uid, x.gid, x.can); (err == nil) != x.ok {
			t.Errorf("user %d, group %d as %d, %d: %v", x.c.Uid, x.c.Gid, x.uid, x.gid, err)
		}
	}
}

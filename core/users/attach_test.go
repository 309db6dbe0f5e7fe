//go:build !race

package users_test

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/slab"
	"github.com/roostmail/roost/core/users"
)

// TestAttachKeepsWhatIsReferredTo: another process's users go on with the references that there are now.
func TestAttachKeepsWhatIsReferredTo(t *testing.T) {
	old, err := users.New(slab.Shared)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("long", 20) + "@example.org"
	names := []string{"a@example.org", long, "gone", "held"}
	ids := map[string]uint32{}
	for _, n := range names {
		if ids[n], err = old.Login(&backend.User{Name: n, Fields: map[string]string{"home": "/srv/" + n}}); err != nil {
			t.Fatal(err)
		}
	}
	tables := map[string]int{}
	old.Tables(func(name string, fd int) {
		if tables[name], err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			t.Fatal(err)
		}
	})
	old.Close()
	a, err := users.Attach(tables, slab.Shared)
	if err != nil || a == nil || len(tables) != 0 {
		t.Fatalf("%v, %v, left %v", a, err, tables)
	}
	err = a.Restore(func(id uint32) (sessions, holds uint32) {
		switch id {
		case ids["a@example.org"]:
			return 2, 0
		case ids[long]:
			return 1, 1
		case ids["held"]:
			return 0, 1
		}
		return 0, 0
	})
	if err != nil {
		t.Fatal(err)
	}
	u := a.Users()
	defer u.Close()
	for _, n := range names {
		got := u.Get(ids[n])
		if n == "gone" {
			if got != nil {
				t.Errorf("%s is there", n)
			}
			continue
		}
		if got == nil || got.Name != n || got.Fields["home"] != "/srv/"+n {
			t.Errorf("%s became %+v", n, got)
		}
	}
	if u.LoggedIn() != 2 || u.Sessions("a@example.org") != 2 || u.Len() != 3 {
		t.Errorf("%d logged in, %d sessions, %d entries", u.LoggedIn(), u.Sessions("a@example.org"), u.Len())
	}
	// The same user is found again; an entry goes with its last reference.
	if id, err := u.Login(&backend.User{Name: long, Fields: map[string]string{"home": "/srv/" + long}}); err != nil || id != ids[long] {
		t.Errorf("id %d, %v", id, err)
	}
	for range 2 {
		u.Logout(ids["a@example.org"])
	}
	if u.Get(ids["a@example.org"]) != nil || u.Len() != 2 {
		t.Error("the entry is still there")
	}
}

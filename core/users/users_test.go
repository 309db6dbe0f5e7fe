package users_test

import (
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/users"
)

func newUsers(t *testing.T) *users.Users {
	t.Helper()
	u, err := users.New(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	return u
}

func TestEqualUsersHaveOneID(t *testing.T) {
	u := newUsers(t)
	login := func(name string, fields map[string]string) uint32 {
		t.Helper()
		id, err := u.Login(&backend.User{Name: name, Fields: fields})
		if err != nil || id == 0 {
			t.Fatal(id, err)
		}
		got := u.Get(id)
		if got.Name != name || !maps.Equal(got.Fields, fields) {
			t.Fatalf("%q %v came back as %q %v", name, fields, got.Name, got.Fields)
		}
		return id
	}
	a := login("a@example.org", map[string]string{"home": "/srv/a@example.org", "uid": "5000"})
	if b := login("a@example.org", map[string]string{"uid": "5000", "home": "/srv/a@example.org"}); b != a {
		t.Errorf("the same user has the ids %d and %d", a, b)
	}
	other := login("a@example.org", map[string]string{"home": "/elsewhere"})
	none := login("a@example.org", nil)
	if other == a || none == a || none == other {
		t.Errorf("users with other fields have the ids %d, %d, %d", a, other, none)
	}
	if n := u.Sessions("a@example.org"); n != 4 {
		t.Errorf("%d sessions, want 4", n)
	}
	held, err := u.Hold(u.Get(a))
	if err != nil || held != a {
		t.Fatal(held, err)
	}
	u.Logout(a)
	u.Logout(a)
	u.Logout(other)
	u.Logout(none)
	u.Logout(0)
	if n := u.Sessions("a@example.org"); n != 0 || u.Len() != 1 {
		t.Errorf("%d sessions and %d entries, want the one that is held", n, u.Len())
	}
	if u.Get(a).Fields["home"] != "/srv/a@example.org" {
		t.Error("what is held is gone")
	}
	u.Drop(a)
	if u.Len() != 0 || u.Get(a) != nil {
		t.Error("an entry without references is there")
	}
}

// TestNamesThatLookLikeMarks: fields come back as they were, whatever is in them.
func TestNamesThatLookLikeMarks(t *testing.T) {
	u := newUsers(t)
	for _, name := range []string{"", "a", "@", "a@", "@b", "a@a", "a@b@c", "\x01", "\x02@\x03", "nobody"} {
		for _, v := range []string{"", "a", "@", "x\x01y", "\x02\x03", "a@b", "/a/a@b/b", "nobodynobody"} {
			want := &backend.User{Name: name, Fields: map[string]string{"k": v, "": v, "a": "b"}}
			id, err := u.Login(want)
			if err != nil {
				t.Fatal(err)
			}
			if got := u.Get(id); got.Name != name || !maps.Equal(got.Fields, want.Fields) {
				t.Errorf("%q %q came back as %q %q", name, want.Fields, got.Name, got.Fields)
			}
			u.Logout(id)
		}
	}
}

// TestManyUsersAreSmall: what a user costs is its record, the cell of its name and the index.
func TestManyUsersAreSmall(t *testing.T) {
	u := newUsers(t)
	const n = 100_000
	for i := range n {
		name := fmt.Sprintf("user%d@example.org", i)
		if _, err := u.Login(&backend.User{Name: name, Fields: map[string]string{"home": "/srv/mail/" + name, "uid": "5000", "gid": "5000", "mail": "mdbox:~/mdbox"}}); err != nil {
			t.Fatal(err)
		}
	}
	if per := u.Bytes() / n; per > 90 { // 24 + 32 + 2, and what is mapped but not used
		t.Errorf("%d bytes per user", per)
	}
}

func TestConcurrentLogins(t *testing.T) {
	u := newUsers(t)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				name := fmt.Sprint("user", (g+i)%1500)
				id, err := u.Login(&backend.User{Name: name})
				if err != nil {
					t.Error(err)
					return
				}
				if got := u.Get(id); got == nil || got.Name != name {
					t.Errorf("%q has become %v", name, got)
				}
				if u.Sessions(name) < 1 {
					t.Errorf("no session of %q", name)
				}
				u.Logout(id)
			}
		})
	}
	wg.Wait()
	if u.Len() != 0 {
		t.Errorf("%d entries are left", u.Len())
	}
}

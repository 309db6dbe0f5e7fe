package mdbox

import (
	"fmt"
	"testing"

	"github.com/roostmail/roost/core/backend"
)

// The place of a user that is kept is the one that would be found again, and only this user's.
func TestKeptPlaces(t *testing.T) {
	s := New(nil)
	c := backend.Config{BaseDir: t.TempDir(), Options: map[string]any{"mail_location": "mdbox:%h/mdbox"}}
	if err := s.Configure(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	users := make([]*backend.User, 2*keptPlaces+3)
	for i := range users {
		users[i] = &backend.User{Name: "jane", Fields: map[string]string{"home": fmt.Sprint("/home/", i), "uid": fmt.Sprint(1000 + i), "gid": "100"}}
	}
	for range 2 {
		for _, u := range users {
			for range 2 {
				_, got, err := s.locate(u, "")
				if err != nil {
					t.Fatal(err)
				}
				twin := *u
				if _, want, err := s.locate(&twin, ""); err != nil || got != want || got.location.Root == "" {
					t.Fatalf("%v, want %v, %v", got, want, err)
				}
				if n := len(s.stores.located.kept); n > keptPlaces {
					t.Fatalf("%d are kept", n)
				}
			}
		}
	}
	if _, _, err := s.locate(users[0], "none"); backend.KindOf(err) != backend.KindNotFound {
		t.Errorf("a namespace that is not there: %v", err)
	}
	s.stores.mailboxes.emptied()
	if n := len(s.stores.located.kept); n != 0 {
		t.Errorf("%d are kept when no mailbox is open", n)
	}
}

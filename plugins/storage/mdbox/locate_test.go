package mdbox

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/roostmail/roost/core/backend"
)

// The place of a user whose mailbox is used is kept, is the one that would be found again, and only this user's.
func TestKeptPlaces(t *testing.T) {
	s := New(nil)
	dir := t.TempDir()
	if err := s.Configure(t.Context(), backend.Config{BaseDir: dir, Options: map[string]any{"mail_location": "mdbox:%h/mdbox"}}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	kept := func(u *backend.User) (place, bool) { return s.stores.located.get(placeKey{u, ""}) }
	users := make([]*backend.User, keptPlaces+3)
	for i := range users {
		users[i] = &backend.User{Name: "jane", Fields: map[string]string{"home": filepath.Join(dir, fmt.Sprint(i))}}
		if err := s.CreateMailbox(t.Context(), backend.MailboxRef{User: users[i], Name: "Box"}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		for _, u := range users {
			for range 2 { // the place is looked for, and kept
				_, got, release, err := s.mailbox(t.Context(), backend.MailboxRef{User: u, Name: "Box"})
				if err != nil {
					t.Fatal(err)
				}
				release()
				_, want, err := s.locate(u, "")
				if err != nil || got != want || got.location.Root != filepath.Join(u.Fields["home"], "mdbox") {
					t.Fatalf("%v, want %v, %v", got, want, err)
				}
				if p, ok := kept(u); !ok || p != want {
					t.Fatalf("kept: %v, %v; want %v", p, ok, want)
				}
				if n := len(s.stores.located.kept); n > keptPlaces {
					t.Fatalf("%d are kept", n)
				}
			}
		}
	}

	// What is kept is used.
	s.stores.located.put(placeKey{users[0], ""}, s.stores.located.kept[placeKey{users[len(users)-1], ""}])
	if _, got, release, err := s.mailbox(t.Context(), backend.MailboxRef{User: users[0], Name: "Box"}); err != nil {
		t.Fatal(err)
	} else if release(); got.location.Root != filepath.Join(users[len(users)-1].Fields["home"], "mdbox") {
		t.Errorf("the place was looked for again: %v", got)
	}

	s.stores.located.forget()
	if _, _, _, err := s.mailbox(t.Context(), backend.MailboxRef{User: users[0], Name: "None"}); backend.KindOf(err) != backend.KindNotFound {
		t.Errorf("a mailbox that is not there: %v", err)
	}
	if _, _, _, err := s.mailbox(t.Context(), backend.MailboxRef{User: users[0], Namespace: "none", Name: "Box"}); backend.KindOf(err) != backend.KindNotFound {
		t.Errorf("a namespace that is not there: %v", err)
	}
	if n := len(s.stores.located.kept); n != 0 {
		t.Errorf("%d places are kept of which no mailbox is open, so that nothing would make them forgotten", n)
	}
	if _, _, release, err := s.mailbox(t.Context(), backend.MailboxRef{User: users[0], Name: "Box"}); err != nil {
		t.Fatal(err)
	} else {
		release()
	}
	s.stores.mailboxes.emptied()
	if n := len(s.stores.located.kept); n != 0 {
		t.Errorf("%d are kept when no mailbox is open", n)
	}
}

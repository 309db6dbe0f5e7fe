package stories

import (
	"errors"
	"flag"
	"path/filepath"
	"testing"

	"github.com/roostmail/roost/cmd/internal/story"
)

// storyDir has the stories.
var storyDir = filepath.Join(root, "testdata/imap/stories")

// TestStories plays every story on roost, on a roost that sleeps behind each command, and on Dovecot.
func TestStories(t *testing.T) {
	all, err := story.Load(storyDir)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatalf("no stories in %s", storyDir)
	}
	s := &servers{t: t, byKey: map[string]*sharedServer{}}
	t.Cleanup(func() { // after those of the servers
		if s.verified == 0 && flag.Lookup("test.run").Value.String() == "" {
			t.Error("no store was verified")
		}
	})
	differences := 0
	for _, st := range all {
		differences += len(st.Differences)
		for n := 1; n <= story.Users; n++ {
			s.users = append(s.users, st.User(n))
		}
	}
	t.Logf("%d stories, %d differences between roost and Dovecot (docs/imap-differences.md)", len(all), differences)
	for _, st := range all {
		t.Run(st.Name, func(t *testing.T) {
			t.Parallel()
			for _, on := range stages {
				if st.Only != "" && st.Only != on.server {
					continue
				}
				t.Run(on.name, func(t *testing.T) {
					t.Parallel()
					play(t, s, on, st)
				})
			}
		})
	}
}

func play(t *testing.T, s *servers, on stage, st *story.Story) {
	addr, err := s.addr(on, st)
	if err != nil {
		t.Fatal(err)
	}
	err = st.Play(story.Server{Name: on.server, Addr: addr, Root: root})
	if errors.Is(err, story.ErrNotThere) && on.server == "dovecot" {
		t.Logf("only roost has this: %v", err)
		return
	}
	if err != nil {
		t.Error(err)
	}
}

package stories

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
	"github.com/roostmail/roost/cmd/internal/story"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/check"
)

// A stage is what a story is played on.
type stage struct {
	name   string // of the subtest
	server string // of story.Servers
	// settings are lines of the server's configuration beside those of the story.
	settings []string
}

var stages = []stage{
	{"roost", "roost", nil},
	// every mailbox is parked, and all of it dropped, behind each command
	{"asleep", "roost", []string{`hibernation.plugin = "adaptive"`, `hibernation.options.warm = "0"`}},
	{"dovecot", "dovecot", []string{dovecotConf}},
}

// dovecotConf turns on what Debian's Dovecot has beside its core: acl, quota, metadata, compression, event notification.
const dovecotConf = `mail_plugins = acl quota zlib notify
auth_failure_delay = 0
imap_metadata = yes
mail_attribute_dict = file:%h/dovecot-attributes
mail_fsync = never
protocol imap {
  mail_plugins = $mail_plugins imap_acl imap_quota imap_zlib
}
plugin {
  acl = vfile
  quota = count:User quota
  quota_vsizes = yes
  quota_rule = *:storage=1G
}
`

// servers are the running servers. Stories with the same settings share one.
type servers struct {
	t     *testing.T // they end with this test
	users []string   // of all stories
	mu    sync.Mutex
	byKey map[string]*sharedServer

	verified int // stores, when the servers have ended
}

type sharedServer struct {
	once sync.Once
	addr string
	err  error
}

// addr returns the address of a server with the settings of the stage and the story.
func (s *servers) addr(st stage, of *story.Story) (string, error) {
	settings := slices.Concat(st.settings, of.Settings[st.server])
	key := st.server + "\n" + strings.Join(settings, "\n")
	s.mu.Lock()
	if s.byKey[key] == nil {
		s.byKey[key] = &sharedServer{}
	}
	sh, n := s.byKey[key], len(s.byKey)
	s.mu.Unlock()
	sh.once.Do(func() {
		start := s.startRoost
		if st.server == "dovecot" {
			start = s.startDovecot
		}
		sh.addr, sh.err = start(fmt.Sprintf("%s %d", st.name, n), strings.Join(settings, "\n"))
	})
	return sh.addr, sh.err
}

func (s *servers) startDovecot(_, settings string) (string, error) {
	dir, err := s.dir()
	if err != nil {
		return "", err
	}
	d, err := rig.StartDovecot(rig.DovecotOptions{Dir: dir, Extra: settings})
	if err != nil {
		return "", err
	}
	s.t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			s.t.Error(err)
		}
	})
	return d.Addr, nil
}

func (s *servers) startRoost(what, settings string) (string, error) {
	dir, err := s.dir()
	if err != nil {
		return "", err
	}
	mail := filepath.Join(dir, "mail")
	if err := os.Mkdir(mail, 0o755); err != nil {
		return "", err
	}
	if err := os.Chown(mail, rig.MailUID, rig.MailUID); err != nil {
		return "", err
	}
	r, err := rig.StartRoost(rig.RoostOptions{Binary: roostBinary, Dir: dir, Home: filepath.Join(mail, "%u"), Users: s.users, Over: settings})
	if err != nil {
		return "", err
	}
	s.t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			s.t.Error(err)
		}
		for line := range strings.Lines(r.Log()) {
			if strings.Contains(line, "level=ERROR") || strings.HasPrefix(line, "panic:") {
				s.t.Errorf("log of %s: %s", what, line)
			}
		}
		s.verify(what, mail)
	})
	return r.Addr, nil
}

// verify looks for damage in the stores that the stories have left.
func (s *servers) verify(what, mail string) {
	stores, err := filepath.Glob(filepath.Join(mail, "*", "mdbox"))
	if err != nil {
		s.t.Error(err)
	}
	s.verified += len(stores)
	for _, path := range stores {
		if err := verify(path); err != nil {
			s.t.Errorf("%s: %s: %v", what, path, err)
		}
	}
}

func verify(path string) error {
	location, err := mdbox.ParseLocation("mdbox:" + path)
	if err != nil {
		return err
	}
	l, err := location.Resolve(mdbox.Vars{}, "/")
	if err != nil {
		return err
	}
	store := mdbox.New(l, mdbox.Options{})
	defer store.Close()
	report, err := check.Verify(context.Background(), store, check.Options{})
	if err == nil && !report.Clean() {
		err = fmt.Errorf("%v", report.Findings)
	}
	return err
}

func (s *servers) dir() (string, error) {
	dir, remove, err := rig.Dir("roost-stories-")
	if err == nil {
		s.t.Cleanup(remove)
	}
	return dir, err
}

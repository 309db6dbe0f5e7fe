package mdbox

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/vfs"
)

// live is an empty store that Dovecot and this plugin use at once.
type live struct {
	*mdboxtest.Store
	plugin  *Storage
	options map[string]any // of the plugin
	log     string         // Dovecot's, which must stay free of errors
}

// newLive makes a store of a format. dovecot are lines for Dovecot's configuration, options those of the plugin that say the same.
func newLive(t *testing.T, f mdbox.Format, dovecot string, options map[string]any) *live {
	t.Helper()
	dir := mdboxtest.ReachableDir(t)
	home := filepath.Join(dir, "home")
	const nobody = 65534
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = nobody, nobody
	}
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(home, uid, gid); err != nil {
		t.Fatal(err)
	}
	l := &live{Store: &mdboxtest.Store{Home: home, Root: filepath.Join(home, string(f)), Conf: filepath.Join(dir, "dovecot.conf"), Expected: &mdboxtest.Expected{User: testUser.Name}},
		log: filepath.Join(dir, "dovecot.log")}
	conf := fmt.Sprintf(`protocols = imap
stats_writer_socket_path =
mail_location = %s:~/%s
base_dir = %s/run
state_dir = %s/state
log_path = %s
ssl = no
listen = 127.0.0.1
default_internal_user = nobody
default_login_user = nobody
first_valid_uid = 1
first_valid_gid = 1
mail_uid = %d
mail_gid = %d
namespace inbox {
  inbox = yes
  separator = /
}
%s
`, f, f, dir, dir, l.log, uid, gid, dovecot)
	if err := os.WriteFile(l.Conf, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	o := map[string]any{"mail_location": string(f) + ":" + l.Root, "mail_home": home, "mail_uid": fmt.Sprint(uid), "mail_gid": fmt.Sprint(gid)}
	for k, v := range options {
		o[k] = v
	}
	l.options = o
	l.plugin = NewFormat(f, slog.New(slog.NewTextHandler(testLog{t}, nil)))
	if err := l.plugin.Configure(context.Background(), backend.Config{Options: o}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.plugin.Close(); err != nil {
			t.Error(err)
		}
		b, err := vfs.ReadFile(vfs.OS, l.log, 1<<20)
		if err == nil {
			for line := range strings.Lines(string(b)) {
				if strings.Contains(line, "Error") || strings.Contains(line, "Warning") || strings.Contains(line, "Panic") {
					t.Errorf("Dovecot complains: %s", line)
				}
			}
		}
	})
	return l
}

// onEachFormat runs a test with each format.
func onEachFormat(t *testing.T, test func(t *testing.T, f mdbox.Format)) {
	for _, f := range []mdbox.Format{mdbox.FormatMdbox, mdbox.FormatSdbox, mdbox.FormatMaildir} {
		t.Run(string(f), func(t *testing.T) { test(t, f) })
	}
}

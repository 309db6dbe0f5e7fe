package mdbox

import (
	"context"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox/mdboxtest"
)

// Core remembers STATUS values until a watch tells of something, so Dovecot must not be able to do anything to a
// mailbox, or to what its name stands for, without an event.
func TestStatusWatchesTellOfEverything(t *testing.T) {
	store := mdboxtest.MakeStore(t, "--content", "small")
	for name, params := range map[string]string{
		"fs":             "",
		"fs-elsewhere":   ":INDEX=~/separate:CONTROL=~/control",
		"index":          ":LAYOUT=index",
		"index-of-index": ":LAYOUT=index:INDEX=~/ixix",
	} {
		t.Run(name, func(t *testing.T) {
			location := "mdbox:~/" + name + params
			doveadm := func(args ...string) {
				t.Helper()
				store.Doveadm(t, append([]string{"-o", "mail_location=" + location}, args...)...)
			}
			doveadm("import", "-s", "mdbox:"+store.Root, "", "all")
			doveadm("mailbox", "create", "top/middle/box")
			doveadm("copy", "top/middle/box", "mailbox", "INBOX", "all")
			s := configured(t, map[string]any{"mail_location": location, "mail_home": store.Home})
			events, err := s.WatchFile(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			defer events.Close()
			for _, step := range []struct {
				box string
				do  []string
			}{
				{"top/middle/box", []string{"flags", "add", `\Seen`, "mailbox", "top/middle/box", "1"}},
				{"top/middle/box", []string{"expunge", "mailbox", "top/middle/box", "1"}},
				{"top/middle/box", []string{"mailbox", "rename", "top/middle/box", "top/middle/other"}},
				{"top/middle/other", []string{"mailbox", "rename", "top", "bottom"}},
				{"bottom/middle/other", []string{"mailbox", "delete", "bottom/middle/other"}},
			} {
				if name == "index-of-index" && step.do[1] == "delete" {
					continue // Dovecot 2.3.19 finds no mailbox to delete with both LAYOUT=index and INDEX=
				}
				list, err := s.Status(context.Background(), testUser, "", []string{step.box}, backend.StatusMessages|backend.StatusWatch)
				if err != nil || list[0].Err != nil || len(list[0].Watches) < 2 {
					t.Fatalf("%s: %+v, %v", step.box, list, err)
				}
				queued(t, events)
				doveadm(step.do...)
				if queued(t, events) == 0 {
					t.Errorf("no event of doveadm %q", step.do)
				}
			}
		})
	}
}

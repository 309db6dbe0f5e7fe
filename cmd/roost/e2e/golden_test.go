package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// goldenStore is the part of a golden store's expected.json that IMAP shows.
type goldenStore struct {
	Mailboxes map[string]struct {
		MUTF7         string `json:"mutf7"`
		NoSelect      bool   `json:"noselect"`
		UIDValidity   uint32 `json:"uidvalidity"`
		UIDNext       uint32 `json:"uidnext"`
		HighestModSeq uint64 `json:"highestmodseq"`
		Messages      int    `json:"messages"`
		Unseen        int    `json:"unseen"`
		Mails         []struct {
			UID      uint32   `json:"uid"`
			ModSeq   uint64   `json:"modseq"`
			Flags    []string `json:"flags"`
			Keywords []string `json:"keywords"`
			Received int64    `json:"received"`
			Size     int64    `json:"size_virtual"`
			SHA256   string   `json:"sha256"`
		} `json:"mails"`
	} `json:"mailboxes"`
}

// TestGoldenStores serves the stores in testdata, which Dovecot 2.3 and 2.4 wrote, and wants what Dovecot said of them.
func TestGoldenStores(t *testing.T) {
	dirs, err := filepath.Glob("../../../testdata/dovecot-2.*/*/expected.json")
	must(t, err)
	if len(dirs) < 10 {
		t.Fatalf("only %d golden stores", len(dirs))
	}
	home := tempDir(t)
	byUser := map[string]goldenStore{}
	var users []string
	for i, expected := range dirs {
		var want goldenStore
		b, err := os.ReadFile(expected)
		must(t, err)
		must(t, json.Unmarshal(b, &want))
		user := "u" + strconv.Itoa(i)
		must(t, rig.CopyTree(filepath.Dir(expected), filepath.Join(home, user)))
		users = append(users, user)
		byUser[user] = want
	}
	r := startRoost(t, rig.RoostOptions{Home: filepath.Join(home, "%u"), Location: "mdbox:~/mdbox:ALT=~/mdbox-alt", Users: users,
		Storage: "options.mail_attachment_dir = " + strconv.Quote(filepath.Join(home, "%u", "attachments"))})
	for i, user := range users {
		rel, err := filepath.Rel("../../../testdata", filepath.Dir(dirs[i]))
		must(t, err)
		t.Run(rel, func(t *testing.T) {
			c := login(t, r.Addr, user)
			messages := 0
			for name, m := range byUser[user].Mailboxes {
				if m.NoSelect {
					continue
				}
				want := fmt.Sprintf("(MESSAGES %d UIDNEXT %d UIDVALIDITY %d UNSEEN %d HIGHESTMODSEQ %d)", m.Messages, m.UIDNext, m.UIDValidity, m.Unseen, m.HighestModSeq)
				got := joined(cmd(t, c, `STATUS "%s" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)`, m.MUTF7))
				if !strings.HasSuffix(got, want) {
					t.Errorf("%s: %s, want %s", name, got, want)
				}
				cmd(t, c, `EXAMINE "%s"`, m.MUTF7)
				if m.Messages == 0 {
					continue
				}
				f, err := rig.FetchAnswers(cmd(t, c, "FETCH 1:* (UID FLAGS MODSEQ INTERNALDATE RFC822.SIZE BODY.PEEK[])"))
				must(t, err)
				if len(f) != len(m.Mails) {
					t.Errorf("%s: %d messages, want %d", name, len(f), len(m.Mails))
				}
				for i, w := range m.Mails {
					items := f[uint32(i+1)]
					date, err := time.Parse("_2-Jan-2006 15:04:05 -0700", items["INTERNALDATE"].Str)
					must(t, err)
					var flags []string
					for _, v := range items["FLAGS"].List {
						if v.Str != `\Recent` {
							flags = append(flags, v.Str)
						}
					}
					sum := sha256.Sum256([]byte(items["BODY[]"].Str))
					got := fmt.Sprint(items["UID"].Str, items["MODSEQ"], flags, date.Unix(), items["RFC822.SIZE"].Str, hex.EncodeToString(sum[:]))
					wantFlags := append(slices.Clone(w.Flags), w.Keywords...)
					slices.Sort(wantFlags)
					modseq := rig.Value{List: []rig.Value{{Str: fmt.Sprint(w.ModSeq)}}}
					if want := fmt.Sprint(fmt.Sprint(w.UID), modseq, wantFlags, w.Received, fmt.Sprint(w.Size), w.SHA256); got != want {
						t.Errorf("%s, message %d:\n got %s\nwant %s", name, i+1, got, want)
					}
					messages++
				}
			}
			if messages == 0 {
				t.Error("no message was compared")
			}
		})
	}
}

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// variant is one kind of store.
type variant struct {
	name     string
	args     []string // of testdata/make-store.sh
	location string
	dovecot  string                  // further Dovecot configuration; %[1]s is the store's directory
	storage  func(dir string) string // further lines of [storage]
}

const zlib = "mail_plugins = zlib\n"

var variants = []variant{
	{name: "LF"},
	{name: "CRLF", args: []string{"--crlf"}},
	{name: "gzip", args: []string{"--compress", "gz"}, dovecot: zlib},
	{name: "bzip2", args: []string{"--compress", "bz2"}, dovecot: zlib},
	{name: "lz4", args: []string{"--compress", "lz4"}, dovecot: zlib},
	{name: "zstd", args: []string{"--compress", "zstd"}, dovecot: zlib},
	{name: "ALT", args: []string{"--alt"}, location: "mdbox:~/mdbox:ALT=~/mdbox-alt"},
	{name: "attachments", args: []string{"--attach"}, dovecot: "mail_attachment_dir = %[1]s/attachments\nmail_attachment_min_size = 1k\nmail_attachment_fs = sis posix\n",
		storage: func(dir string) string { return "options.mail_attachment_dir = " + strconv.Quote(dir+"/attachments") }},
}

// storeUser owns the stores of makeStore.
const storeUser = "testuser"

// expectation is the part of expected.json that tests use.
type expectation struct {
	Mailboxes map[string]struct {
		VName    string `json:"vname"`
		MUTF7    string `json:"mutf7"`
		NoSelect bool   `json:"noselect"`
		Messages int    `json:"messages"`
		Mails    []struct {
			UID    uint32 `json:"uid"`
			SHA256 string `json:"sha256"`
		} `json:"mails"`
	} `json:"mailboxes"`
}

// storesDir keeps the stores that makeStore has made.
var storesDir string

// makeStore returns a store of the variant that a real Dovecot made, owned by
// rig.MailUID. The home of its user is dir/home. Each test gets a copy of its own.
func makeStore(t *testing.T, v variant) (dir string, want expectation) {
	t.Helper()
	made := filepath.Join(storesDir, v.name)
	if _, err := os.Stat(filepath.Join(made, "expected.json")); err != nil {
		script, err := filepath.Abs("../../../testdata/make-store.sh")
		must(t, err)
		args := append([]string{"--quiet", "--user", storeUser, "--owner", strconv.Itoa(rig.MailUID)}, v.args...)
		if b, err := exec.Command(script, append(args, made)...).CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%s", script, args, err, b)
		}
	}
	dir = filepath.Join(tempDir(t), "s")
	must(t, rig.CopyTree(made, dir))
	b, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	must(t, err)
	must(t, json.Unmarshal(b, &want))
	if len(want.Mailboxes) < 10 {
		t.Fatalf("the store has only %d mailboxes", len(want.Mailboxes))
	}
	return dir, want
}

package dump_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostmail/roost/mdbox/dump"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/vfs"
)

// doveadmDump returns what doveadm says of a file.
func doveadmDump(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.Command("doveadm", "dump", path).Output()
	if err != nil {
		t.Fatalf("doveadm dump %s: %v (package dovecot-core is needed)", path, err)
	}
	return string(out)
}

func dumpFile(t *testing.T, path string) string {
	t.Helper()
	var b bytes.Buffer
	if err := dump.File(&b, path); err != nil {
		t.Fatalf("dump %s: %v", path, err)
	}
	return b.String()
}

// facts collects what re matches in text: its submatches, joined by blanks.
func facts(text, re string) []string {
	var res []string
	for _, m := range regexp.MustCompile("(?m)"+re).FindAllStringSubmatch(text, -1) {
		res = append(res, strings.Join(m[1:], " "))
	}
	return res
}

// agree compares what two patterns find in doveadm's dump and in ours.
func agree(t *testing.T, path, theirs, our string, patterns [][2]string) {
	t.Helper()
	for _, p := range patterns {
		if d := cmp.Diff(facts(theirs, p[0]), facts(our, p[1])); d != "" {
			t.Errorf("%s: %s (-doveadm +dump):\n%s", path, p[1], d)
		}
	}
}

// goldenFiles returns the files whose base names match of copies of the golden
// stores small and fresh, the others have the same kinds of index records, and of a store that this library wrote.
func goldenFiles(t *testing.T, pattern string) []string {
	t.Helper()
	var res []string
	re := regexp.MustCompile(pattern)
	roots := []string{oursStore(t)}
	for _, name := range mdboxtest.GoldenNames(t) {
		if base := filepath.Base(name); base != "small" && base != "fresh" {
			continue
		}
		roots = append(roots, mdboxtest.Golden(t, name).Root)
	}
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err == nil && re.MatchString(d.Name()) {
				res = append(res, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(res) == 0 {
		t.Fatalf("no golden files %s", pattern)
	}
	return res
}

// doveadm shows an index with its log applied. So the dump compared to it is
// that of the snapshot which we would write at this moment.
func TestIndexDumpAgreesWithDoveadm(t *testing.T) {
	for _, path := range goldenFiles(t, `^dovecot(\.map|\.list)?\.index\.log$`) {
		path = strings.TrimSuffix(path, ".log")
		if _, err := os.Stat(path); err != nil {
			continue // doveadm does not show an index that is only a log
		}
		theirs := doveadmDump(t, path)
		x, err := index.Open(index.Options{Dir: filepath.Dir(path), Prefix: filepath.Base(path)})
		if err != nil {
			t.Fatal(err)
		}
		snapshot := filepath.Join(t.TempDir(), "dovecot.index")
		if err := os.WriteFile(snapshot, x.State().AppendSnapshot(nil), 0o600); err != nil {
			t.Fatal(err)
		}
		agree(t, path, theirs, dumpFile(t, snapshot), [][2]string{
			{`^version \.+ = (\S+)`, ` version +(\S+)`},
			{`^base header size \.+ = (\d+)`, ` base_header_size +(\d+)`},
			{`^header size \.+ = (\d+)`, ` header_size +(\d+)`},
			{`^record size \.+ = (\d+)`, `^\w+     4  record_size +(\d+)`},
			{`^index id \.+ = (\d+)`, ` indexid +(\d+)`},
			{`^flags \.+ = (\d+)`, ` flags +(\d+)$`},
			{`^uid validity \.+ = (\d+)`, ` uid_validity +(\d+)`},
			{`^next uid \.+ = (\d+)`, ` next_uid +(\d+)`},
			{`^messages count \.+ = (\d+)`, ` messages_count +(\d+)`},
			{`^seen messages count \.+ = (\d+)`, ` seen_messages_count +(\d+)`},
			{`^deleted messages count \.+ = (\d+)`, ` deleted_messages_count +(\d+)`},
			{`^first recent uid \.+ = (\d+)`, ` first_recent_uid +(\d+)`},
			{`^first unseen uid lowwater += (\d+)`, ` first_unseen_uid_lowwater +(\d+)`},
			{`^first deleted uid lowwater += (\d+)`, ` first_deleted_uid_lowwater +(\d+)`},
			{`^log file seq \.+ = (\d+)`, ` log_file_seq +(\d+)`},
			{`^log file head offset \.+ = (\d+)`, ` log_file_head_offset +(\d+)`},
			{`^day first uid\[(\d)\] \.+ = (\d+)`, ` day_first_uid +\[(\d)\] (\d+)`},
			{`^name \.+ = (.*)`, `^extension \d+: (.*)`},
			{`^hdr_size \.+ = (\d+)`, ` hdr_size +(\d+)`},
			{`^reset_id \.+ = (\d+)`, ` reset_id +(\d+)`},
			{`^record_offset = (\d+)`, ` record_offset +(\d+)`},
			{`^record_size \. = (\d+)`, `^\w+     2  record_size +(\d+)`},
			{`^ - map_uid_validity \.\. = (\d+)`, ` map_uid_validity +(\d+)`},
			{`^ - mailbox_guid \.+ = (\w+)`, ` mailbox_guid +(\w+)`},
			{`^RECORD: seq=(\d+), uid=\d+, flags=0x\w+`, `^record (\d+)`},
			{`^RECORD: seq=\d+, uid=(\d+)`, ` uid +(\d+)$`},
			{`^RECORD: seq=\d+, uid=\d+, flags=(0x\w+)`, `uid +\d+\n\w+     1  flags +(0x\w+)`},
			{`^ - ext \d+ guid +: +\((\w+)\)`, ` guid +(\w+)$`},
			{`^ - ext \d+ modseq +: +(\d+)`, ` modseq +(\d+)$`},
			{`^ +: file_id = (\d+)`, ` map\.file_id +(\d+)`},
			{`^ +: offset  = (\d+)`, ` map\.offset +(\d+)`},
			{`^ +: size    = (\d+)`, ` map\.size +(\d+)`},
			{`^ - ext \d+ ref +: +(\d+)`, ` ref +(\d+)`},
			{`^ +: map_uid   = (\d+)`, ` mdbox\.map_uid +(\d+)`},
		})
	}
}

func TestLogDumpAgreesWithDoveadm(t *testing.T) {
	for _, path := range goldenFiles(t, `^dovecot(\.map|\.list)?\.index\.log(\.2)?$`) {
		theirs, our := doveadmDump(t, path), dumpFile(t, path)
		// doveadm's names of types differ in two places.
		our = strings.NewReplacer("ext-hdr-update ", "ext-hdr ", "ext-rec-update ", "ext-rec ", "ext-hdr-update\n", "ext-hdr\n", "ext-rec-update\n", "ext-rec\n").Replace(our)
		agree(t, path, offsetsToHex(theirs), our, [][2]string{
			{`^version = (\S+)`, ` version +(\S+)`},
			{`^index id = (\d+)`, ` indexid +(\d+)`},
			{`^file seq = (\d+)`, ` file_seq +(\d+)`},
			{`^prev file = (\d+)/\d+`, ` prev_file_seq +(\d+)`},
			{`^prev file = \d+/(\d+)`, ` prev_file_offset +(\d+)`},
			{`^create stamp = (\d+)`, ` create_stamp +(\d+)`},
			{`^initial modseq = (\d+)`, ` initial_modseq +(\d+)`},
			{`^record: offset=(\w+), type=([\w-]+)`, `^(\w+) +\d+  record +([\w-]+)`},
			{`^record: offset=(\w+), type=[\w-]+ \(ext\)`, `^(\w+) +\d+  record .* external`},
			{`^record: .*size=(\d+)`, `^\w+ +(\d+)  record`},
			{`^record: offset=(\w+),.*modseq=(\d+)`, `^(\w+) .*  record .* modseq=(\d+)`},
			{`^ - uid=(\d+) \(guid (\w+)\)`, `  expunge +uid=(\d+) guid=(\w+)`},
			{`^ - log_file_tail_offset = (\d+)`, ` log_file_tail_offset=(\d+)`},
			{`^ - uid=(\d+): (\w+)`, `  data +uid=(\d+) (\w+)`},
			{`^ - uids=(\d+-\d+) \(flags`, `  flags +uids=(\d+-\d+)`},
			{`^ - reset_id = (\d+)`, `  intro .* reset_id=(\d+)`},
			{`^ - record_size = (\d+)`, `  intro .* record_size=(\d+)`},
			{`^ - name = '(.*)'`, `  intro +name=(.*) reset_id`},
			{`^ - size=(\d+)`, `  size +(\d+)`},
			{`^ - new_reset_id = (\d+)`, `  reset +new_reset_id=(\d+)`},
		})
	}
}

// offsetsToHex writes the offsets of records in doveadm's dump as ours has them.
func offsetsToHex(s string) string {
	return regexp.MustCompile(`offset=\d+, type`).ReplaceAllStringFunc(s, func(m string) string {
		n, _ := strconv.Atoi(m[len("offset=") : len(m)-len(", type")])
		h := strconv.FormatInt(int64(n), 16)
		return "offset=" + strings.Repeat("0", max(0, 6-len(h))) + h + ", type"
	})
}

func TestDumpShowsWhatIsBeforeTheDamage(t *testing.T) {
	store := mdboxtest.Golden(t, "dovecot-2.3/small")
	path := filepath.Join(store.Mailbox("INBOX"), "dovecot.index.log")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole := facts(dumpFile(t, path), `^(\w+) +\d+  record`)
	at, err := strconv.ParseInt(whole[3], 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	copy(b[at:], []byte{0x80, 0x80, 0x80, 0x81}) // a record of 4 bytes
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = dump.File(&out, path)
	var c *vfs.CorruptError
	if !errors.As(err, &c) || c.File != path || c.Offset != at {
		t.Errorf("dump of a damaged log: %v, want a CorruptError for offset %d", err, at)
	}
	if got := facts(out.String(), `^(\w+) +\d+  record`); cmp.Diff(whole[:3], got) != "" {
		t.Errorf("records before the damage: %v, want %v", got, whole[:3])
	}
}

func TestKindIsFoundByContent(t *testing.T) {
	store := mdboxtest.Golden(t, "dovecot-2.3/small")
	for name, want := range map[string]string{"dovecot.index": "index", "dovecot.index.log": "transaction log"} {
		b, err := os.ReadFile(filepath.Join(store.Mailbox("INBOX"), name))
		if err != nil {
			t.Fatal(err)
		}
		renamed := filepath.Join(t.TempDir(), "unnamed")
		if err := os.WriteFile(renamed, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if first := strings.SplitN(dumpFile(t, renamed), "\n", 2)[0]; first != renamed+": "+want {
			t.Errorf("%s is shown as %q, want kind %q", name, first, want)
		}
	}
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte("Subject: no index\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := dump.File(&bytes.Buffer{}, other); !errors.Is(err, dump.ErrUnknown) {
		t.Errorf("dump of a mail: %v, want ErrUnknown", err)
	}
}

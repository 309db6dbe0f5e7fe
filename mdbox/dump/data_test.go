package dump_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostmail/roost/mdbox/mdboxtest"
)

func TestMailDumpAgreesWithDoveadm(t *testing.T) {
	// Stored in every way, and moved by a purge.
	homes := []string{filepath.Dir(oursStore(t))}
	for _, name := range []string{"dovecot-2.3/small", "dovecot-2.3/attach", "dovecot-2.3/bz2", "dovecot-2.3/alt", "dovecot-2.4/zstd"} {
		homes = append(homes, mdboxtest.Golden(t, name).Home)
	}
	for _, home := range homes {
		paths, err := filepath.Glob(filepath.Join(home, "mdbox*", "storage", "m.*"))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: no mail files: %v", home, err)
		}
		for _, path := range paths {
			agree(t, path, doveadmDump(t, path), dumpFile(t, path), [][2]string{
				{`^file.msg_header_size = (\d+)`, ` message header size +(\d+)`},
				{`^file.create_stamp = (\d+)`, ` created +(\d+)`},
				{`^offset (\d+):`, `^message at (\d+)`},
				{`^msg.size = (\d+)`, `    30  size +(\d+)`},
				{`^msg.received = (\d+)`, ` received +(\d+)`},
				{`^msg.virtual-size = (\d+)`, ` virtual-size +(\d+)`},
				{`^msg.guid = (\w+)`, ` guid +"(\w+)"`},
				{`^msg.orig-mailbox = (.*)`, ` orig-mailbox +"(.*)"`},
			})
		}
	}
}

func TestCacheDumpAgreesWithDoveadm(t *testing.T) {
	for _, path := range goldenFiles(t, `^dovecot\.index\.cache$`) {
		// doveadm shows a cache with its index, the records of each message together.
		cmd := exec.Command("doveadm", "dump", "-t", "index", filepath.Dir(path))
		b, err := cmd.Output()
		if err != nil {
			t.Fatalf("doveadm dump %s: %v (package dovecot-core is needed)", filepath.Dir(path), err)
		}
		theirs, our := string(b), dumpFile(t, path)
		agree(t, path, theirs, our, [][2]string{
			{`^file_seq \.+ = (\d+)`, ` file_seq +(\d+)`},
			{`^continued_record_count = (\d+)`, ` continued_record_count +(\d+)`},
			{`^record_count \.+ = (\d+)`, ` record_count +(\d+)`},
			{`^used_file_size \(old\) \. = (\d+)`, ` used_file_size +(\d+)`},
			{`^field_header_offset \.\. = (\d+)`, ` field_header_offset +(\d+)`},
		})
		tables := strings.Split(our, "field table\n")
		agree(t, path, theirs, tables[len(tables)-1], [][2]string{
			{`^ *(\d+): (\S+) +(bit|fix|str|var|hdr) `, `  field +\[(\d+)\] (\S+) (bit|fix|str|var|hdr) `},
			{`^ *\d+: \S+ +(?:bit|fix|str|var|hdr) +(\d+|-) +(yes|no|tmp)\b`, `  field +\[\d+\] \S+ (?:bit|fix|str|var|hdr) (\d+|-) (yes|no|tmp)\b`},
		})
		ours := recordFacts(our)
		for _, r := range facts(theirs, `^ - cache offset=(\d+) size=(\d+), prev_offset = (\d+)`) {
			if !slices.Contains(ours, r) {
				t.Errorf("%s: record (offset, size, prev_offset) %s is not in the dump", path, r)
			}
		}
		ourGUIDs, theirGUIDs := facts(our, `  guid +"(\w+)"`), facts(theirs, `^    - guid: (\w+)`)
		for _, g := range theirGUIDs {
			if !slices.Contains(ourGUIDs, g) {
				t.Errorf("%s: guid %s is not in the dump", path, g)
			}
		}
	}
}

// recordFacts returns "offset size prev_offset" of each record of a cache dump.
func recordFacts(our string) []string {
	var res []string
	for _, f := range facts(our, `^record\n(\w+)     4  prev_offset +(\d+)\n\w+     4  size +(\d+)`) {
		p := strings.Fields(f)
		res = append(res, hexToDecimal(p[0])+" "+p[2]+" "+p[1])
	}
	return res
}

func TestTextFileDumps(t *testing.T) {
	for _, name := range mdboxtest.GoldenNames(t) {
		store := mdboxtest.Golden(t, name)
		got := facts(dumpFile(t, filepath.Join(store.Root, "subscriptions")), ` subscribed +"(.*)"`)
		var want []string
		for _, name := range store.Expected.Subscriptions {
			if m := store.Expected.Mailboxes[name]; m != nil {
				name = m.MUTF7
			}
			want = append(want, name)
		}
		slices.Sort(got)
		slices.Sort(want)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if v := facts(dumpFile(t, filepath.Join(store.Root, "dovecot-uidvalidity")), ` uidvalidity +(\d+)`); len(v) != 1 {
			t.Errorf("%s: UIDVALIDITY %q", name, v)
		}
	}
}

func TestListIndexDump(t *testing.T) {
	store := mdboxtest.Golden(t, "dovecot-2.3/small")
	out := dumpFile(t, filepath.Join(store.Root, "dovecot.list.index"))
	names := facts(out, `  name +\[\d+\] (.*)`)
	guids := facts(out, ` list\.guid +(\w+)`)
	// The snapshot is from before the other mailboxes.
	for _, name := range []string{"INBOX", "Archive", "Archive/2024"} {
		m := store.Expected.Mailboxes[name]
		if !slices.Contains(names, filepath.Base(m.MUTF7)) || !slices.Contains(guids, m.GUID) {
			t.Errorf("%s with GUID %s is not among %q, %q", name, m.GUID, names, guids)
		}
	}
	for _, field := range []string{"msgs.uidnext", "hmodseq", "index sync.size", "list.parent_uid"} {
		if len(facts(out, ` `+field+` +(\d+)`)) == 0 {
			t.Errorf("no %s in the dump", field)
		}
	}
}

func TestDataKindsAreFoundByContent(t *testing.T) {
	store := mdboxtest.Golden(t, "dovecot-2.3/small")
	mails, err := filepath.Glob(filepath.Join(store.Storage(), "m.*"))
	if err != nil || len(mails) == 0 {
		t.Fatalf("no mail files: %v", err)
	}
	for path, want := range map[string]string{
		mails[0]: "mail file",
		filepath.Join(store.Mailbox("INBOX"), "dovecot.index.cache"): "cache",
		filepath.Join(store.Root, "subscriptions"):                   "subscriptions",
	} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		renamed := filepath.Join(t.TempDir(), "unnamed")
		if err := os.WriteFile(renamed, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if first := strings.SplitN(dumpFile(t, renamed), "\n", 2)[0]; first != renamed+": "+want {
			t.Errorf("%s is shown as %q, want kind %q", path, first, want)
		}
	}
}

func hexToDecimal(s string) string {
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		return s
	}
	return strconv.FormatUint(n, 10)
}

package stories

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/roostmail/roost/cmd/internal/story"
)

var update = flag.Bool("update", false, "write docs/imap-coverage.md and docs/imap-differences.md")

const updateCommand = "go test ./cmd/roost/stories -run Documented -update"

// rooms have the code that speaks IMAP; core/conn, which has TLS and deflate, is left out.
var rooms = []string{"core/backend", "core/imap", "core/imapwire", "core/mailbox", "core/message", "core/session", "plugins/auth", "plugins/storage"}

// TestCoverageIsDocumented holds docs/imap-coverage.md against the comments of the code and the headers of the stories, and these
// against the list of what RFCs require.
func TestCoverageIsDocumented(t *testing.T) {
	all, err := story.Load(storyDir)
	if err != nil {
		t.Fatal(err)
	}
	required, err := story.LoadRequirements(filepath.Join(root, "testdata/imap/stories/requirements.list"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := story.CoverageOf(root, rooms, all, required)
	if err != nil {
		t.Fatal(err)
	}
	if err := required.Check(c); err != nil {
		t.Error(err)
	}
	text := "# IMAP: what is where, and what shows it\n\nWritten from the comments of the code and the headers of the [stories](../testdata/imap/stories/README.md):\n`" +
		updateCommand + "`.\n"
	upToDate(t, "imap-coverage.md", append([]byte(text), c.Markdown()...))
}

// TestDifferencesAreDocumented holds docs/imap-differences.md against the stories.
func TestDifferencesAreDocumented(t *testing.T) {
	all, err := story.Load(storyDir)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# IMAP: where roost answers otherwise than Dovecot 2.3\n\nWritten from the [stories](../testdata/imap/stories/README.md): `%s`.\n"+
		"`N>` is what connection N sends, `N<` what it gets, `…` anything.\n", updateCommand)
	for _, s := range all {
		if len(s.Differences) > 0 {
			fmt.Fprintf(&b, "\n## %s\n\n%s.\n", s.Name, strings.TrimSuffix(s.Title, "."))
		}
		for _, d := range s.Differences {
			lines := d.Lines
			if d.After != "" && !strings.Contains(lines[0], ">") {
				lines = slices.Insert(slices.Clone(lines), 0, d.After)
			}
			fmt.Fprintf(&b, "\n%s\n\n    %s\n", d.Reason, strings.Join(lines, "\n    "))
		}
	}
	upToDate(t, "imap-differences.md", b.Bytes())
}

func upToDate(t *testing.T, name string, want []byte) {
	t.Helper()
	file := filepath.Join(root, "docs", name)
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("docs/%s is out of date: %s", name, updateCommand)
	}
}

package mdbox

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/roostmail/roost/core/backend"
)

func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// optionRow is an option's line in the README's table.
func optionRow(o backend.Option) string {
	def := "none"
	if o.Default != "" {
		def = "`" + o.Default + "`"
	}
	return fmt.Sprintf("| `%s` | %s | %s |", o.Name, def, o.Help)
}

func TestREADMEListsEveryOption(t *testing.T) {
	text := readme(t)
	for _, o := range options {
		if row := optionRow(o); !strings.Contains(text, row+"\n") {
			t.Errorf("the table of options lacks the line\n%s", row)
		}
	}
}

func TestREADMEExamplesWork(t *testing.T) {
	_, examples, _ := strings.Cut(readme(t), "## Examples")
	examples, _, _ = strings.Cut(examples, "## Errors")
	var blocks []string
	inBlock := false
	for line := range strings.Lines(examples) {
		code, isCode := strings.CutPrefix(line, "    ")
		if isCode && !inBlock {
			blocks = append(blocks, "")
		}
		if inBlock = isCode; isCode {
			blocks[len(blocks)-1] += code
		}
	}
	if len(blocks) < 3 {
		t.Fatalf("%d examples found", len(blocks))
	}
	for _, block := range blocks {
		var c struct {
			Storage struct {
				Plugin  string         `toml:"plugin"`
				Options map[string]any `toml:"options"`
			} `toml:"storage"`
		}
		if _, err := toml.Decode(block, &c); err != nil || c.Storage.Plugin != "mdbox" {
			t.Errorf("%v in\n%s", err, block)
			continue
		}
		s := New(slog.New(slog.DiscardHandler))
		if err := s.Configure(context.Background(), backend.Config{Options: c.Storage.Options}); err != nil {
			t.Errorf("%v in\n%s", err, block)
			continue
		}
		u := &backend.User{Name: "Ann@Example.Org"}
		if _, p, err := s.locate(u, ""); err != nil || !strings.HasPrefix(p.location.Root, "/") {
			t.Errorf("%+v, %v in\n%s", p, err, block)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

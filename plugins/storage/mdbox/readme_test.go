package mdbox

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
)

// readmes are the pages of the plugins, by format.
var readmes = map[mdbox.Format]string{mdbox.FormatMdbox: "README.md", mdbox.FormatSdbox: "../sdbox/README.md",
	mdbox.FormatMaildir: "../maildir/README.md"}

func readme(t *testing.T, f mdbox.Format) string {
	t.Helper()
	b, err := os.ReadFile(readmes[f])
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
	for f, page := range readmes {
		text := readme(t, f)
		for _, o := range options {
			if !slices.ContainsFunc(optionsOf(f), func(p backend.Option) bool { return p.Name == o.Name }) {
				if strings.Contains(text, optionRow(o)) {
					t.Errorf("%s has a line for %s, which the plugin does not have", page, o.Name)
				}
				continue
			}
			if row := optionRow(o); !strings.Contains(text, row+"\n") {
				t.Errorf("the table of options in %s lacks the line\n%s", page, row)
			}
		}
	}
}

func TestREADMEExamplesWork(t *testing.T) {
	for f := range readmes {
		t.Run(string(f), func(t *testing.T) { examplesWork(t, f) })
	}
}

func examplesWork(t *testing.T, f mdbox.Format) {
	_, examples, _ := strings.Cut(readme(t, f), "## Examples")
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
		if _, err := toml.Decode(block, &c); err != nil || c.Storage.Plugin != string(f) {
			t.Errorf("%v in\n%s", err, block)
			continue
		}
		for name, value := range c.Storage.Options { // as the configuration is read
			if list, ok := value.([]any); ok {
				texts := make([]string, len(list))
				for i := range list {
					texts[i] = list[i].(string)
				}
				c.Storage.Options[name] = texts
			}
		}
		s := NewFormat(f, slog.New(slog.DiscardHandler))
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

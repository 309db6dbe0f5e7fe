package passwdfile

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/password"
)

func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestREADMEListsEveryOption(t *testing.T) {
	text := readme(t)
	for _, o := range optionList {
		if row := fmt.Sprintf("| `%s` | %s |", o.Name, o.Type); !strings.Contains(text, row) {
			t.Errorf("the table of options has no row %s", row)
		}
	}
}

func TestREADMEListsEveryScheme(t *testing.T) {
	text := strings.NewReplacer(",", " ", "|", " ").Replace(readme(t))
	for _, name := range password.Names() {
		if !strings.Contains(text, " "+name+" ") {
			t.Errorf("scheme %s is not listed", name)
		}
	}
}

// TestREADMEExamplesWork reads the TOML examples as the plugin would get them.
func TestREADMEExamplesWork(t *testing.T) {
	examples := 0
	for _, block := range strings.Split(readme(t), "\n\n") {
		if !strings.HasPrefix(block, "    [auth]\n") {
			continue
		}
		examples++
		var c struct {
			Auth struct {
				Plugin  string
				Options map[string]any
			}
		}
		if _, err := toml.Decode(block, &c); err != nil {
			t.Fatalf("%v:\n%s", err, block)
		}
		for name, value := range c.Auth.Options {
			if list, ok := value.([]any); ok {
				var texts []string
				for _, v := range list {
					texts = append(texts, v.(string))
				}
				c.Auth.Options[name] = texts
			}
		}
		if _, _, err := parseOptions(backend.Config{Options: c.Auth.Options}); err != nil || c.Auth.Plugin != "passwd-file" {
			t.Errorf("%v:\n%s", err, block)
		}
	}
	if examples != 2 {
		t.Errorf("%d examples found", examples)
	}
}

// TestREADMEUserWorks parses the line of the example, with a hash in place of its dots.
func TestREADMEUserWorks(t *testing.T) {
	_, line, ok := strings.Cut(readme(t), "    alice:")
	line, _, _ = strings.Cut(line, "\n")
	line = strings.Replace(line, "$…$…", "$Dtkb30SbSaqKFDDFAJdxVQ$TIDGGr+xEkyLUvmcvXBWoORlbQjhMd79Kj59/t6fq8g", 1)
	e, err := parseLine("alice:"+line, testIDs)
	if !ok || err != nil || e.uid != "5000" || e.home != "/srv/mail/alice" || len(e.extra) != 1 {
		t.Errorf("%+v, %v", e, err)
	}
}

package config

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestEveryKeyIsDocumented looks up every key that Show prints, and the defaults of [limits].
func TestEveryKeyIsDocumented(t *testing.T) {
	b, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, s := range strings.Split(string(b), "\n## ")[1:] {
		title, text, _ := strings.Cut(s, "\n")
		for _, name := range strings.Split(title, ", ") {
			sections[strings.Trim(name, "[]")] = text
		}
	}
	c := mustParse(t, designExample+"user = 'u'\ngroup = 'g'\n")
	var shown strings.Builder
	if err := c.Show(&shown); err != nil {
		t.Fatal(err)
	}
	section := ""
	for _, line := range strings.Split(shown.String(), "\n") {
		if strings.HasPrefix(line, "[") {
			section = regexp.MustCompile(`^plugins\..*`).ReplaceAllString(strings.Trim(line, "[]"), "plugins.NAME")
			continue
		}
		key, _, ok := strings.Cut(line, " = ")
		if !ok || strings.HasPrefix(key, " ") || strings.HasPrefix(key, "options.") {
			continue
		}
		if !strings.Contains(sections[section], "`"+key+"`") {
			t.Errorf("[%s] %s is not documented", section, key)
		}
	}
	for _, l := range (&Limits{}).list() {
		def := fmt.Sprint(l.def)
		switch {
		case l.time != nil:
			def = "`\"" + time.Duration(l.def).String() + "\"`"
		case l.path != nil:
			def = "`\"\"`"
		}
		if row := fmt.Sprintf("| `%s` | %s |", l.key, def); !strings.Contains(sections["limits"], row) {
			t.Errorf("no row %s", row)
		}
	}
}

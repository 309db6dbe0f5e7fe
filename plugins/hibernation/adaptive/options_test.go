package adaptive

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/roostmail/roost/core/backend"
)

func TestOptions(t *testing.T) {
	for _, tt := range []struct {
		given map[string]any
		want  options
		err   string
	}{
		{nil, defaults, ""},
		{map[string]any{"warm": "100ms"}, options{100 * time.Millisecond, 100 * time.Millisecond, 10 * time.Minute, 0.8, 65536}, ""},
		{map[string]any{"warm": "1h"}, options{time.Hour, 500 * time.Millisecond, time.Hour, 0.8, 65536}, ""},
		{map[string]any{"warm": "2s", "min_warm": "0", "max_warm": "1 min", "tight": int64(100), "history": int64(0)}, options{2 * time.Second, 0, time.Minute, 1, 0}, ""},
		{map[string]any{"warm": "soon"}, options{}, `option warm: "soon" is not a time`},
		{map[string]any{"max_warm": "25h"}, options{}, "option max_warm: must be 24h0m0s at most"},
		{map[string]any{"min_warm": "6s"}, options{}, "option min_warm: must not be longer than warm"},
		{map[string]any{"max_warm": "4s"}, options{}, "option max_warm: must not be shorter than warm"},
		{map[string]any{"tight": int64(0)}, options{}, "option tight: must be from 1 to 100"},
		{map[string]any{"tight": int64(101)}, options{}, "option tight: must be from 1 to 100"},
		{map[string]any{"history": int64(1<<20 + 1)}, options{}, "option history: must be from 0 to 1048576"},
	} {
		got, err := parseOptions(tt.given)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) || backend.KindOf(err) != backend.KindInvalidArgument {
				t.Errorf("%v: %v, want %q", tt.given, err, tt.err)
			}
		} else if err != nil || got != tt.want {
			t.Errorf("%v: %+v, %v, want %+v", tt.given, got, err, tt.want)
		}
	}
}

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
		def := o.Default
		if o.Type != backend.OptionInt {
			def = "`" + def + "`"
		}
		if row := fmt.Sprintf("| `%s` | %s | %s |", o.Name, o.Type, def); !strings.Contains(text, row) {
			t.Errorf("the table of options has no row %s", row)
		}
	}
}

// TestDocumentedDefaults: what Info says is what is used.
func TestDocumentedDefaults(t *testing.T) {
	given := map[string]any{}
	for _, o := range optionList {
		var v struct{ X any }
		if _, err := toml.Decode("x = "+o.Default, &v); err != nil {
			t.Fatal(err)
		}
		given[o.Name] = v.X
	}
	if got, err := parseOptions(given); err != nil || got != defaults {
		t.Errorf("%+v, %v, want %+v", got, err, defaults)
	}
}

func TestREADMEExamplesWork(t *testing.T) {
	examples := 0
	for _, block := range strings.Split(readme(t), "\n\n") {
		if !strings.HasPrefix(block, "    [hibernation]\n") {
			continue
		}
		examples++
		var c struct {
			Hibernation struct {
				Plugin  string
				Memory  string
				Options map[string]any
			}
		}
		if _, err := toml.Decode(block, &c); err != nil {
			t.Fatalf("%v:\n%s", err, block)
		}
		if _, err := parseOptions(c.Hibernation.Options); err != nil || c.Hibernation.Plugin != "adaptive" {
			t.Errorf("%v:\n%s", err, block)
		}
	}
	if examples != 3 {
		t.Errorf("%d examples found", examples)
	}
}

package plugintest

import (
	"os"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/host"
)

// subject is the plugin under test: one that can be made within the test, whose process is the test binary, or a program.
type subject struct {
	kind    backend.Kind
	new     func() backend.Plugin // nil: a program
	command []string              // nil: the test binary
}

// program returns the command that starts the plugin.
func (s subject) program(t T) []string {
	t.Helper()
	if s.command != nil {
		return s.command
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{exe}
}

// environment returns the names of the variables that the plugin may see: those that it sees under roost, and for a test binary all, because
// fixtures may depend on them.
func (s subject) environment() []string {
	if s.command != nil {
		return host.DefaultEnvAllow
	}
	var names []string
	for _, kv := range os.Environ() {
		for i := range kv {
			if kv[i] == '=' {
				names = append(names, kv[:i])
				break
			}
		}
	}
	return names
}

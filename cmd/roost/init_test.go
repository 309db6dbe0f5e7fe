package main

import (
	"os/exec"
	"regexp"
	"strconv"
	"testing"
)

// TestProcessesStartSmall: every plugin is a process of this binary, so what a package makes when it is initialised is there many times.
func TestProcessesStartSmall(t *testing.T) {
	const most = 512 << 10
	cmd := exec.Command(binary, "version")
	cmd.Env = append(cmd.Environ(), "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	inits := regexp.MustCompile(`(?m)^init (\S+) @.* clock, (\d+) bytes, \d+ allocs$`).FindAllSubmatch(out, -1)
	if len(inits) < 20 {
		t.Fatalf("the runtime tells of %d packages:\n%s", len(inits), out)
	}
	for _, m := range inits {
		if n, err := strconv.Atoi(string(m[2])); err != nil || n > most {
			t.Errorf("%s makes %s bytes before main, more than %d", m[1], m[2], most)
		}
	}
}

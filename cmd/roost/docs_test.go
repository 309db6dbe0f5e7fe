package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write docs/commands.md")

const commandsFile = "../../docs/commands.md"

// TestCommandsAreDocumented holds docs/commands.md against the help texts.
func TestCommandsAreDocumented(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("# roost(1): commands\n\nWritten from the help texts: `go test ./cmd/roost -run Documented -update`.\n")
	document(&b, rootCommand())
	if *update {
		if err := os.WriteFile(commandsFile, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(commandsFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, b.Bytes()) {
		t.Errorf("%s is out of date: go test ./cmd/roost -run Documented -update", commandsFile)
	}
}

// document writes a section for every command that does something.
func document(b *bytes.Buffer, c *cobra.Command) {
	text := c.Long
	if text == "" {
		text = strings.ToUpper(c.Short[:1]) + c.Short[1:] + "."
	}
	b.WriteString("\n## " + c.CommandPath() + "\n\n")
	b.WriteString("    " + c.UseLine() + "\n\n")
	b.WriteString(text + "\n")
	if c.Example != "" {
		b.WriteString("\n    " + strings.ReplaceAll(strings.TrimSpace(c.Example), "\n", "\n  ") + "\n")
	}
	if flags := strings.TrimRight(c.NonInheritedFlags().FlagUsages(), "\n"); flags != "" {
		b.WriteString("\n    " + strings.ReplaceAll(flags, "\n", "\n    ") + "\n")
	}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			document(b, sub)
		}
	}
}

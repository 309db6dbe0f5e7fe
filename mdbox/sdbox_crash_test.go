package mdbox_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/roostmail/roost/mdbox/vfs/crashfs"
)

func TestSdboxCrash(t *testing.T) { testCrash(t, sdboxBase(t), sdboxScenarios()) }

func TestSdboxFault(t *testing.T) { testFault(t, sdboxBase(t), sdboxScenarios()) }

// sdboxScenarios are those that do not need a map.
func sdboxScenarios() []scenario {
	return slices.DeleteFunc(slices.Clone(crashScenarios), func(sc scenario) bool {
		return sc.name == "purge" || sc.name == "save to a new file"
	})
}

// sdboxBase is an sdbox store as Dovecot has left it.
func sdboxBase(t *testing.T) *crashfs.FS {
	t.Helper()
	d := newSdbox(t, "")
	commands := []string{"CREATE Sent"}
	for i := range 3 {
		text := message(fmt.Sprint("m", i), 300)
		commands = append(commands, fmt.Sprintf("APPEND INBOX (\\Seen $Kw) {%d+}\r\n%s", len(text), text))
	}
	d.IMAP(t, append(commands, "SELECT INBOX", "COPY 1:2 Sent")...)
	base := crashfs.New()
	if err := base.Load(d.Root, crashRoot); err != nil {
		t.Fatal(err)
	}
	return base
}

package message

import (
	"testing"

	"github.com/roostmail/roost/core/message/messagetest"
)

func TestBodyFromStructureEqualsBody(t *testing.T) {
	check := func(name string, msg []byte) {
		m := Parse(msg, Limits{})
		structure := m.AppendBodyStructure(nil, true)
		got, ok := AppendBodyFromStructure([]byte("x"), structure)
		if want := string(m.AppendBodyStructure([]byte("x"), false)); !ok || string(got) != want {
			t.Errorf("%s: %q\n got %q, %v\nwant %q", name, structure, got, ok, want)
		}
	}
	for _, n := range messagetest.Nasty() {
		check(n.Name, n.Text)
	}
	for seed := range int64(300) {
		check("random", messagetest.Random(seed))
	}
}

func TestBodyFromDamagedStructure(t *testing.T) {
	for _, s := range []string{
		``, `(`, `()`, `"text"`, `"text" "plain"`, `"text" "plain" NIL NIL NIL "7bit" 3`, `"text" "plain" NIL NIL NIL "7bit" 3 1)`,
		`"text" "plain" NIL NIL NIL "7bit" 3 1 (`, `"text" "plain" NIL NIL NIL "7bit" 3 1 "x`, `"text" "plain" NIL NIL {9}` + "\r\n" + `x 3 1`,
		`"message" "rfc822" NIL NIL NIL "7bit" 3 NIL`, `("text" "plain" NIL NIL NIL "7bit" 3 1`, `("text" "plain" NIL NIL NIL "7bit" 3 1)`,
		`"a" "b" NIL NIL NIL "7bit" {99999999999999999999}` + "\r\n",
	} {
		if got, ok := AppendBodyFromStructure([]byte("x"), []byte(s)); ok || string(got) != "x" {
			t.Errorf("%q: %q, %v", s, got, ok)
		}
	}
}

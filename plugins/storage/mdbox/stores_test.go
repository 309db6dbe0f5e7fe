package mdbox

import (
	"testing"

	"github.com/roostmail/roost/mdbox/mdboxtest"
)

// TestGoldenStores compares all that the plugin says about stores that Dovecots of 2.3 and
// 2.4 wrote with what these Dovecots said.
func TestGoldenStores(t *testing.T) {
	for _, name := range mdboxtest.GoldenNames(t) {
		t.Run(name, func(t *testing.T) {
			store := mdboxtest.Golden(t, name)
			checkStore(t, openStorage(t, store, nil), store.Expected)
		})
	}
}

// TestFullStores does so for large stores that the installed Dovecot writes now.
func TestFullStores(t *testing.T) {
	for name, args := range map[string][]string{
		"plain":             nil,
		"crlf, alt, attach": {"--crlf", "--alt", "--attach"},
	} {
		t.Run(name, func(t *testing.T) {
			store := mdboxtest.MakeStore(t, args...)
			checkStore(t, openStorage(t, store, nil), store.Expected)
		})
	}
}

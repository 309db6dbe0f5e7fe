package imap

import "testing"

func TestRefusalsAreCountedByTheirSetting(t *testing.T) {
	var c refusals
	for _, text := range []string{"list exceeds [limits] list_items = 5", "Too large ([limits] metadata_value).", "[limits] list_items", "[limits] something of a client's", "list_items", "[limits] "} {
		c.note(text)
	}
	got := c.counts()
	for name, n := range got {
		want := map[string]uint64{"list_items": 2, "metadata_value": 1}[name]
		if n != want {
			t.Errorf("%s: %d, want %d", name, n, want)
		}
	}
}

package wildcard

import "testing"

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		mask, name string
		want       bool
	}{
		{"a", "a", true}, {"a", "A", false}, {"a", "ab", false}, {"ab", "a", false}, {"", "", true}, {"*", "", true}, {"*", "a/b", true},
		{"a*", "a", true}, {"a*c", "abbc", true}, {"a*c", "abcb", false}, {"a*b*c", "aXbXbYc", true}, {"?", "", false}, {"a?c", "abc", true},
		{"*?", "a", true}, {"**a", "ba", true}, {"Trash/*", "Trash", false}, {"Trash/*", "Trash/", true},
	} {
		if got := Match(c.mask, c.name); got != c.want {
			t.Errorf("%q, %q: %v", c.mask, c.name, got)
		}
	}
}

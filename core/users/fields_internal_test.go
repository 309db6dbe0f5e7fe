package users

import (
	"maps"
	"testing"
)

func FuzzFields(f *testing.F) {
	f.Add("u@example.org", "home", "/srv/u@example.org", []byte{1, 1, 'k', 1, 'v'})
	f.Fuzz(func(t *testing.T, user, k, v string, damaged []byte) {
		want := map[string]string{k: v, "x" + k: user + v + user}
		got, err := decodeFields(encodeFields(nil, user, want), user)
		if err != nil || !maps.Equal(got, want) {
			t.Fatalf("%q %q came back as %q, %v", user, want, got, err)
		}
		if m, err := decodeFields(damaged, user); err == nil {
			if again, err := decodeFields(encodeFields(nil, user, m), user); err != nil || !maps.Equal(again, m) {
				t.Fatalf("%q came back as %q, %v", m, again, err)
			}
		}
	})
}

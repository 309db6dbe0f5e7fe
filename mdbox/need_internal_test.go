package mdbox

import (
	"testing"

	"github.com/roostmail/roost/mdbox/cache"
)

// TestQuietUses changes one thing after the other that the outcome of a check depends on.
func TestQuietUses(t *testing.T) {
	table := []cache.Field{{Name: "guid"}, {Name: "hdr.to"}}
	const from, until, week = 1000, 2000, cache.Week(10)
	used := []span{{field: "guid", first: 12, last: 15}, {field: allHeaders, first: 12, last: 12}}
	q := &quiet{table: table, from: from, until: until, uses: []use{used[0].use(week), used[1].use(week)}}
	other := append([]cache.Field(nil), table...)
	for _, c := range []struct {
		name  string
		table []cache.Field
		used  []span
		week  cache.Week
		now   uint32
		want  bool
	}{
		{"the same", table, used, week, from, true},
		{"later", table, used, week, until - 1, true},
		{"other messages of the week", table, []span{{field: "guid", first: 10, last: 99}, used[1]}, week, from, true},
		{"before the check", table, used, week, from - 1, false},
		{"a day is over", table, used, week, until, false},
		{"another table", other, used, week, from, false},
		{"a table with more", append(table, cache.Field{}), used, week, from, false},
		{"no table", nil, used, week, from, false},
		{"fewer fields", table, used[:1], week, from, false},
		{"another field", table, []span{used[0], {field: "flags", first: 12, last: 12}}, week, from, false},
		{"an older message", table, []span{used[0], {field: allHeaders, first: 9, last: 12}}, week, from, false},
		{"another order", table, []span{used[0], {field: allHeaders, first: 12, last: 13, unordered: true}}, week, from, false},
		{"another week", table, used, 13, from, false},
	} {
		if got := q.is(c.table, c.used, c.week, c.now); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if (*quiet)(nil).is(table, used, week, from) {
		t.Error("nothing was checked yet")
	}
}

package config

import (
	"maps"
	"testing"

	"github.com/BurntSushi/toml"
)

func TestScan(t *testing.T) {
	text := `# comment [a] = 1
top = 1
"quoted.key" = '[not] = a key' # comment
dotted . key = "a \" # b"

[table]   # comment
multi = """
x = 1
[y]
\"""" 
literal = '''
z = ''''
after = 1
array = [ 1, # one
  { k = 1, l = [
    { m = 2 } ] },
  "]" ]
[table.'sub table']
x = 2024-01-02T03:04:05Z
[[list]]
a = 1
[[list.inner]]
b = 1
[[list]]
[[list.inner]]
[[list.inner]]
b = 1
`
	var v map[string]any
	if _, err := toml.Decode(text, &v); err != nil {
		t.Fatal(err)
	}
	want := positions{
		"top": 2, "quoted.key": 3, "dotted": 4, "dotted.key": 4,
		"table": 6, "table.multi": 7, "table.literal": 11, "table.after": 13, "table.array": 14,
		"table.array[0]": 14, "table.array[1]": 15, "table.array[1].k": 15, "table.array[1].l": 15,
		"table.array[1].l[0]": 16, "table.array[1].l[0].m": 16, "table.array[2]": 17,
		"table.sub table": 18, "table.sub table.x": 19,
		"list": 20, "list[0]": 20, "list[0].a": 21, "list[0].inner": 22, "list[0].inner[0]": 22, "list[0].inner[0].b": 23,
		"list[1]": 24, "list[1].inner": 25, "list[1].inner[0]": 25, "list[1].inner[1]": 26, "list[1].inner[1].b": 27,
	}
	got := scan(text)
	for _, path := range append(keys(want), keys(got)...) {
		if got[path] != want[path] {
			t.Errorf("%q: line %d, want %d", path, got[path], want[path])
		}
	}
}

func keys(p positions) []string {
	var list []string
	for k := range maps.Keys(p) {
		list = append(list, k)
	}
	return list
}

func FuzzParse(f *testing.F) {
	f.Add(designExample)
	f.Add(minimal)
	f.Add("a = [{b = '''\n''' }, \"\\\"\"]\n[[x]]\n[x.y]\n")
	f.Fuzz(func(t *testing.T, text string) {
		scan(text)
		c, errs := parse("roost.toml", "/", text, bundled)
		if c == nil && len(errs) == 0 {
			t.Error("neither a configuration nor an error")
		}
	})
}

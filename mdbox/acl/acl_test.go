package acl

import (
	"reflect"
	"strings"
	"testing"
)

// TestOf has what Dovecot 2.3.19 says of these lists, mostly of the user tu in the groups g1 and g2.
func TestOf(t *testing.T) {
	public, private := Who{User: "tu", Groups: []string{"g1", "g2"}}, Who{User: "tu", Groups: []string{"g1", "g2"}, Owner: true}
	for _, c := range []struct {
		who    Who
		local  string // lines separated by ";"
		global string
		want   string
	}{
		{private, "", "", "lrwstipekxa"},
		{private, "user=bob lr", "", "lrwstipekxa"},
		{private, "user=tu lr", "", "lr"},
		{private, "owner lr", "", "lr"},
		{private, "anyone lr", "", "lrwstipekxa"},
		{private, "anyone lr;user=tu w", "", "w"},
		{private, "owner lr;user=tu w", "", "w"},
		{private, "user=tu lrw;-user=tu w", "", "lr"},
		{private, "-user=tu w", "", "lrstipekxa"},
		{private, "-owner a", "", "lrwstipekx"},
		{private, "-anyone w", "", "lrwstipekxa"},
		{private, "-anyone w;owner lrw", "", "lrw"},
		{private, "-owner r;user=tu lrw", "", "lw"},
		{private, "-anyone w;-owner r", "", "lwstipekxa"},
		{private, "owner", "", ""},
		{private, "owner ", "", ""},
		{private, "# comment;;owner lr", "", "lr"},
		{private, "owner l :read write-seen", "", "lrs"},
		{private, "owner :lookup, read", "", "lr"},
		{private, "owner l :something-else", "", "l"},
		{private, `"user=tu" lr`, "", "lr"},
		{private, "owner l;owner r", "", "lr"},
		{private, "group=g1 lr", "", "lrwstipekxa"},
		{private, "group-override=g1 l;owner lrw;user=tu lrwa", "", "l"},
		{private, "group-override=g1 l;group-override=g2 r", "", "lr"},

		{public, "", "", ""},
		{public, "owner lr", "", ""},
		{public, "user=tu lr", "", "lr"},
		{public, "user=TU lr", "", ""},
		{public, "anyone lr", "", "lr"},
		{public, "anonymous lr", "", "lr"},
		{public, "authenticated lr", "", "lr"},
		{public, "anyone lrw;authenticated l", "", "l"},
		{public, "anyone lr;user=tu w", "", "w"},
		{public, "anyone lrw;-user=tu w", "", "lr"},
		{public, "-user=tu l;anyone lr", "", "r"},
		{public, "group=g1 l;group=g2 r", "", "lr"},
		{public, "group=g3 l", "", ""},
		{public, "group=g1 lrw;-group=g2 w", "", "lr"},
		{public, "authenticated lrw;group=g1 l", "", "l"},
		{public, "-anyone w;group=g1 lrw", "", "lr"},
		{public, "anyone lrw;-anyone w;group=g1 l;group-override=g2 lrwa;user=tu a", "", "lra"},
		{public, "-group-override=g1 r;user=tu lrw", "", "lw"},
		{public, "group-override=g1 l;-group-override=g2 l;user=tu lrw", "", ""},
		{public, "anyone lrw;-anyone w;-user=tu r", "", "lw"},
		{public, "anyone lrw;-group=g1 w;-group=g2 r", "", "l"},
		{public, "-anyone w;-authenticated r;anyone lrw", "", "lw"},

		{private, "", "* owner lr", "lr"},
		{private, "", "* anyone lr", "lr"},
		{private, "", "box -owner w", "lrstipekxa"},
		{private, "", "none owner lr", "lrwstipekxa"},
		{private, "", "b* owner lr", "lr"},
		{private, "", `"box" owner lr`, "lr"},
		{private, "", "BOX owner lr", "lrwstipekxa"},
		{private, "", "* owner lr;box owner lrw", "lrw"},
		{private, "", "box owner lrw;* owner lr", "lrw"},
		{private, "owner lrwa;user=bob l", "* owner lr", "lr"},
		{private, "owner lrwa;user=bob l", "box -owner w", "lra"},
		{private, "owner lrwa;user=bob l", "* anyone lrs", "lrs"},
		{public, "", "* user=tu lr", "lr"},
	} {
		local, err := Decode([]byte(strings.ReplaceAll(c.local, ";", "\n") + "\n"))
		if err != nil {
			t.Errorf("%s: %v", c.local, err)
			continue
		}
		global, err := DecodeGlobal([]byte(strings.ReplaceAll(c.global, ";", "\n") + "\n"))
		if err != nil {
			t.Errorf("%s: %v", c.global, err)
			continue
		}
		if got := Of(c.who, local, global.Of("box")).String(); got != c.want {
			t.Errorf("local %q, global %q, owner %v: %q, want %q", c.local, c.global, c.who.Owner, got, c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, file := range []string{"bogus lr\n", "owner lrz\n", "owner l read\n", "owner lrcd\n", "owner\tlr\n", "  owner lr\n", "owner lr\nbogus\n", "\"user=x lr\n", "\"user=x\"lr\n"} {
		if list, err := Decode([]byte(file)); err == nil {
			t.Errorf("%q is read as %+v", file, list)
		}
	}
	for _, file := range []string{"* bogus lr\n", "box\n", "* user=tu lra\n-user=tu a\n"} {
		if _, err := DecodeGlobal([]byte(file)); err == nil {
			t.Errorf("the global file %q is read", file)
		}
	}
}

// TestAppend has a file that Dovecot wrote.
func TestAppend(t *testing.T) {
	const written = "group=g\"r\\p lrs\nowner akxeilprwts\n-owner a\nuser=bob kxet\n-user=bob r\n\"user=us er\" lr\n"
	list, err := Decode([]byte(written))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(Append(nil, list)); got != written {
		t.Errorf("%q, want %q", got, written)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("group=grp lrs\nowner akxeilprwts :x y\n-owner a\n\"-user=u\\\" s\" lr\n"))
	f.Add([]byte("# x\n\nanonymous :read,write\n"))
	f.Add([]byte("* anyone lr\n\"a b\" -user=x l\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if g, err := DecodeGlobal(b); err == nil {
			Of(Who{User: "x"}, nil, g.Of("a b"))
		}
		list, err := Decode(b)
		if err != nil {
			return
		}
		again, err := Decode(Append(nil, list))
		if err != nil || !reflect.DeepEqual(list, again) {
			t.Errorf("%q is read as %+v, and that, written, as %+v, %v", b, list, again, err)
		}
	})
}

package imap

import (
	"reflect"
	"testing"
)

func sampleNotifySet() notifySet {
	return notifySet{
		{filter: filterSelected, events: eventMessages | eventFlags, fetch: `(UID BODY.PEEK[HEADER.FIELDS ("From" {2}` + "\r\nTo)])"},
		{filter: filterSubtree, events: eventMessages | eventNames, names: []string{"Lists", "Ä/ö"}},
		{filter: filterMailboxes, names: []string{""}},
		{filter: filterSubscribed, events: eventSubscriptions},
	}
}

func TestNotifySetByteForm(t *testing.T) {
	for _, want := range []notifySet{nil, sampleNotifySet()} {
		raw := want.append(nil)
		got, err := decodeNotifySet(string(raw))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", raw, got, err)
		}
		for n := 1; n < len(raw); n++ { // a part of it is an error, or another set
			if got, err := decodeNotifySet(string(raw[:n])); err == nil && reflect.DeepEqual(got, want) {
				t.Errorf("%d of %d bytes are taken for all", n, len(raw))
			}
		}
	}
	for _, bad := range []string{"\x07\x00\x00\x00", "\x00\x10\x00\x00", "\x00", "\x00\x01\x05abc", "\x00\x01\x03(X)\x00", "\x05\x01\x00\xff\xff\xff\xff\x7f"} {
		if set, err := decodeNotifySet(bad); err == nil {
			t.Errorf("%q is %+v", bad, set)
		}
	}
}

func FuzzNotifySet(f *testing.F) {
	f.Add(string(sampleNotifySet().append(nil)))
	f.Fuzz(func(t *testing.T, raw string) {
		set, err := decodeNotifySet(raw)
		if err != nil {
			return
		}
		again, err := decodeNotifySet(string(set.append(nil)))
		if err != nil || !reflect.DeepEqual(again, set) {
			t.Fatalf("%+v became %+v, %v", set, again, err)
		}
		notifyBits(set)
	})
}

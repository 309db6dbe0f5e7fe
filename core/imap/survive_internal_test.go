package imap

import (
	"bytes"
	"reflect"
	"testing"
)

// TestExtraSurvives: what a session keeps beside its record is the same in another process.
func TestExtraSurvives(t *testing.T) {
	srv := &Server{}
	for _, x := range []*extra{
		{},
		{tag: "a long tag, longer than a record's", user: "jane"},
		{reply: []byte("a NO [AUTHENTICATIONFAILED] …\r\n")},
		{found: appendResult(nil, nil), notify: "x"},
		{found: []byte{1, 0, 2, 7}},
		{contexts: appendContexts(nil, someContexts)},
	} {
		b, ok := srv.AppendExtra([]byte("before"), x)
		if !ok || !bytes.HasPrefix(b, []byte("before")) {
			t.Fatalf("%+v: %q, %v", x, b, ok)
		}
		got, err := srv.ParseExtra(b[len("before"):])
		if err != nil || !reflect.DeepEqual(got, x) {
			t.Errorf("%+v became %+v, %v", x, got, err)
		}
	}
}

// FuzzExtra: ParseExtra does not panic, and what it takes is the same when it is written again.
func FuzzExtra(f *testing.F) {
	srv := &Server{}
	for _, x := range []*extra{{}, {tag: "t", user: "u", reply: []byte("r"), found: []byte{1, 0}}, {contexts: appendContexts(nil, someContexts)}} {
		b, _ := srv.AppendExtra(nil, x)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := srv.ParseExtra(b)
		if err != nil {
			return
		}
		again, _ := srv.AppendExtra(nil, x)
		y, err := srv.ParseExtra(again)
		if err != nil || !reflect.DeepEqual(x, y) {
			t.Fatalf("%+v became %+v, %v", x, y, err)
		}
	})
}

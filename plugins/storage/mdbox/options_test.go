package mdbox

import (
	"context"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/index"
)

func TestDefaultsAreValid(t *testing.T) {
	s, err := parseSettings(mdbox.FormatMdbox, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := settings{maxAttributes: 1000, listIndex: true, maxMailboxes: 1000, maxStores: 1000, maxFiles: 256, maxTree: 100000, cacheBytes: 256 << 20, maxMessage: 1 << 30, purgeInterval: 24 * time.Hour, closeIdle: 5 * time.Second, groupsTTL: 10 * time.Minute}
	if s.write.Fsync != index.FsyncOptimized || s.write.LockMethod != filelock.MethodFcntl || s.write.RotateSize != 10<<20 {
		t.Errorf("defaults of writing are %+v", s.write)
	}
	s.write = mdbox.Writing{}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("defaults are %+v", s)
	}
}

func TestOptionErrorsNameTheOption(t *testing.T) {
	for _, c := range []struct {
		name  string
		value any
		want  string
	}{
		{"mail_locaton", "x", "unknown option"},
		{"mail_location", int64(1), "must be a string"},
		{"mail_location", "mbox:~/x", "is not supported"},
		{"mail_location", "sdbox:~/x", "belongs to the storage plugin \"sdbox\""},
		{"mail_location", "mdbox:/x/%q", "unknown variable"},
		{"mail_home", "/home/%{nope}", "unknown variable"},
		{"mail_attachment_dir", "/a/%Z", "unknown variable"},
		{"mailbox_list_index", "yes", "must be true or false"},
		{"max_open_files", int64(0), "must be positive"},
		{"cache_bytes", "256Q", "is not a size"},
		{"mdbox_rotate_size", "-1", "is not a size"},
		{"mdbox_rotate_size", "9999999999T", "is too large"},
		{"mail_max_lock_timeout", "5 fortnights", "is not a time"},
		{"mail_fsync", "sometimes", "must be one of"},
		{"lock_method", "hope", "must be one of"},
		{"zlib_save", "xz", "must be one of"},
		{"mail_uid", "no-such-user-here", "unknown user"},
		{"mail_gid", "no-such-group-here", "unknown group"},
	} {
		p := New(slog.New(slog.DiscardHandler))
		err := p.Configure(context.Background(), backend.Config{Options: map[string]any{c.name: c.value}})
		if err == nil || backend.KindOf(err) != backend.KindInvalidArgument ||
			!strings.Contains(err.Error(), "option "+c.name+":") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s = %v: %v; want an error with %q", c.name, c.value, err, c.want)
		}
	}
}

func TestParseSize(t *testing.T) {
	for in, want := range map[any]int64{int64(7): 7, "0": 0, "12": 12, "12B": 12, "10M": 10 << 20, "10 mb": 10 << 20, "1k": 1024, "2G": 2 << 30, "3T": 3 << 40} {
		if got, err := parseSize(in); err != nil || got != want {
			t.Errorf("%v: %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []any{"", "M", "1X", "1.5M", "1MK", nil, true} {
		if got, err := parseSize(in); err == nil {
			t.Errorf("%v: %d, want an error", in, got)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{"0": 0, "5s": 5 * time.Second, "1h30m": 90 * time.Minute, "5 mins": 5 * time.Minute,
		"2d": 48 * time.Hour, "1 week": 7 * 24 * time.Hour, "30 secs": 30 * time.Second, "100ms": 100 * time.Millisecond, "100 msecs": 100 * time.Millisecond} {
		if got, err := parseDuration(in); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []any{"", "5", "s", "-1s", "5 x", int64(5), "999999999999999 weeks"} {
		if got, err := parseDuration(in); err == nil {
			t.Errorf("%v: %v, want an error", in, got)
		}
	}
}

func TestEveryOptionIsDocumentedByItsSchema(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range options {
		if seen[o.Name] || o.Help == "" || strings.Contains(o.Help, "\n") {
			t.Errorf("option %s: given twice, or its help is not one line", o.Name)
		}
		seen[o.Name] = true
	}
}

package mdbox

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/plugins/sdk/plugintest"
)

// envFormat says which of the plugins the test binary is; empty: that for mdbox.
const envFormat = "TEST_FORMAT"

// The test binary is also the plugin.
func TestMain(m *testing.M) {
	plugintest.Main(m, func() backend.Plugin {
		return NewFormat(cmp.Or(mdbox.Format(os.Getenv(envFormat)), mdbox.FormatMdbox), slog.Default())
	})
}

func TestConformance(t *testing.T) {
	for _, name := range []string{"dovecot-2.3/small", "dovecot-2.4/small"} {
		t.Run(name, func(t *testing.T) {
			store := mdboxtest.Golden(t, name)
			plugintest.Storage(t, plugintest.StorageFixture{
				New:     func() backend.Plugin { return New(slog.New(slog.NewTextHandler(testLog{t}, nil))) },
				Config:  backend.Config{Options: map[string]any{"mail_location": "mdbox:" + store.Root}, ReadOnly: true},
				User:    testUser,
				Mailbox: "INBOX",
			})
		})
	}
}

// TestConformanceOfWriting runs the suite on stores that it makes itself.
func TestConformanceOfWriting(t *testing.T) {
	golden := mdboxtest.Golden(t, "dovecot-2.3/small")
	plugintest.Storage(t, plugintest.StorageFixture{
		New:     func() backend.Plugin { return New(slog.New(slog.NewTextHandler(testLog{t}, nil))) },
		Config:  backend.Config{Options: map[string]any{"mail_location": "mdbox:" + golden.Root}, ReadOnly: true},
		User:    testUser,
		Mailbox: "INBOX",
		Writable: func(t plugintest.T) backend.Config {
			return backend.Config{
				Options: map[string]any{"mail_attribute_dict": "file:" + t.TempDir() + "/attributes", "acl": "vfile",
					"quota": "count:User quota", "quota_rule": []string{"*:storage=1G:messages=1000000"}, "mail_location": "mdbox:" + t.TempDir() + "/mdbox", "mdbox_rotate_size": "1M"},
				Namespaces: []backend.Namespace{
					{Separator: '/', Inbox: true, List: true, Subscriptions: true},
					{Name: "second", Prefix: "second/", Separator: '/', List: true, Subscriptions: true, Location: "mdbox:" + t.TempDir() + "/mdbox"},
				},
			}
		},
		Second: "second",
	})
}

// TestConformanceOfSdbox runs the suite on sdbox stores that it makes itself.
func TestConformanceOfSdbox(t *testing.T) {
	const f = mdbox.FormatSdbox
	t.Setenv(envFormat, string(f))
	root := t.TempDir() + "/sdbox"
	fill(t, f, root)
	plugintest.Storage(t, plugintest.StorageFixture{
		New:     func() backend.Plugin { return NewFormat(f, slog.New(slog.NewTextHandler(testLog{t}, nil))) },
		Config:  backend.Config{Options: map[string]any{"mail_location": "sdbox:" + root}, ReadOnly: true},
		User:    testUser,
		Mailbox: "INBOX",
		Writable: func(t plugintest.T) backend.Config {
			return backend.Config{
				Options: map[string]any{"mail_attribute_dict": "file:" + t.TempDir() + "/attributes", "acl": "vfile",
					"quota": "count:User quota", "quota_rule": []string{"*:storage=1G:messages=1000000"}, "mail_location": "sdbox:" + t.TempDir() + "/sdbox"},
				Namespaces: []backend.Namespace{
					{Separator: '/', Inbox: true, List: true, Subscriptions: true},
					{Name: "second", Prefix: "second/", Separator: '/', List: true, Subscriptions: true, Location: "sdbox:" + t.TempDir() + "/sdbox"},
				},
			}
		},
		Second: "second",
	})
}

// TestConformanceOfMaildir runs the suite on maildir stores that it makes itself.
func TestConformanceOfMaildir(t *testing.T) {
	const f = mdbox.FormatMaildir
	t.Setenv(envFormat, string(f))
	root := t.TempDir() + "/maildir"
	fill(t, f, root)
	plugintest.Storage(t, plugintest.StorageFixture{
		New:     func() backend.Plugin { return NewFormat(f, slog.New(slog.NewTextHandler(testLog{t}, nil))) },
		Config:  backend.Config{Options: map[string]any{"mail_location": "maildir:" + root}, ReadOnly: true},
		User:    testUser,
		Mailbox: "INBOX",
		Writable: func(t plugintest.T) backend.Config {
			return backend.Config{
				Options: map[string]any{"mail_attribute_dict": "file:" + t.TempDir() + "/attributes", "acl": "vfile",
					"quota": "count:User quota", "quota_rule": []string{"*:storage=1G:messages=1000000"}, "mail_location": "maildir:" + t.TempDir() + "/maildir"},
				Namespaces: []backend.Namespace{
					{Separator: '/', Inbox: true, List: true, Subscriptions: true},
					{Name: "second", Prefix: "second/", Separator: '/', List: true, Subscriptions: true, Location: "maildir:" + t.TempDir() + "/maildir"},
				},
			}
		},
		Second: "second",
	})
}

// fill makes a store with some messages in INBOX.
func fill(t *testing.T, f mdbox.Format, root string) {
	t.Helper()
	s := NewFormat(f, slog.New(slog.DiscardHandler))
	if err := s.Configure(context.Background(), backend.Config{Options: map[string]any{"mail_location": string(f) + ":" + root}}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var messages []backend.AppendMessage
	for _, size := range []int{10, 5000, 300, 20_000} {
		text := "From: a@example.org\r\nSubject: x\r\n\r\n" + strings.Repeat("0123456789\r\n", size/12)
		messages = append(messages, backend.AppendMessage{Flags: backend.FlagSeen, InternalDate: 1_700_000_000, Size: uint64(len(text)), Body: strings.NewReader(text)})
	}
	if _, err := s.Append(context.Background(), &backend.AppendRequest{Mailbox: backend.MailboxRef{User: testUser, Name: "INBOX"}, Messages: messages}); err != nil {
		t.Fatal(err)
	}
}

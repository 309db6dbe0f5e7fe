package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/pluginrpc"
)

// The writes of testPlugin act as the name of the mailbox says, see act.

// Append acts when it has read the first body.
func (p *testPlugin) Append(ctx context.Context, r *backend.AppendRequest) (*backend.AppendResult, error) {
	for i, m := range r.Messages {
		if _, err := io.Copy(io.Discard, m.Body); err != nil {
			return nil, err
		}
		if i == 0 {
			if err := p.act(ctx, r.Mailbox.Name); err != nil {
				return nil, err
			}
		}
	}
	res := &backend.AppendResult{UIDValidity: 1}
	for i := range r.Messages {
		res.UIDs = append(res.UIDs, uint32(i+1))
	}
	return res, nil
}

func (p *testPlugin) Store(ctx context.Context, r *backend.StoreRequest) (*backend.StoreResult, error) {
	return &backend.StoreResult{}, p.act(ctx, r.Mailbox.Name)
}
func (p *testPlugin) Copy(ctx context.Context, r *backend.CopyRequest) (*backend.CopyResult, error) {
	return &backend.CopyResult{UIDValidity: 1}, p.act(ctx, r.Mailbox.Name)
}
func (p *testPlugin) Expunge(ctx context.Context, r *backend.ExpungeRequest) (*backend.ExpungeResult, error) {
	return &backend.ExpungeResult{}, p.act(ctx, r.Mailbox.Name)
}
func (p *testPlugin) ClaimRecent(ctx context.Context, m backend.MailboxRef, _ [16]byte, _ []byte) (*backend.ClaimResult, error) {
	return &backend.ClaimResult{}, p.act(ctx, m.Name)
}
func (p *testPlugin) CreateMailbox(ctx context.Context, m backend.MailboxRef) error {
	return p.act(ctx, m.Name)
}
func (p *testPlugin) DeleteMailbox(ctx context.Context, m backend.MailboxRef) error {
	return p.act(ctx, m.Name)
}
func (p *testPlugin) RenameMailbox(ctx context.Context, m backend.MailboxRef, _ string) error {
	return p.act(ctx, m.Name)
}
func (p *testPlugin) Subscribe(ctx context.Context, m backend.MailboxRef, _ bool) error {
	return p.act(ctx, m.Name)
}

// writes are all calls of backend.Writer, for the mailbox name.
func writes(ctx context.Context, w backend.Writer) map[string]func(name string) error {
	uids := []uint32{1, 2}
	return map[string]func(name string) error{
		"Append": func(name string) error {
			body := strings.NewReader(strings.Repeat("x", 2<<20))
			_, err := w.Append(ctx, &backend.AppendRequest{Mailbox: mailbox(name), Messages: []backend.AppendMessage{{Size: 100, Body: body}, {Size: 1 << 20, Body: body}}})
			return err
		},
		"Store": func(name string) error {
			_, err := w.Store(ctx, &backend.StoreRequest{Mailbox: mailbox(name), UIDs: uids})
			return err
		},
		"Copy": func(name string) error {
			_, err := w.Copy(ctx, &backend.CopyRequest{Mailbox: mailbox(name), UIDs: uids})
			return err
		},
		"Expunge": func(name string) error {
			_, err := w.Expunge(ctx, &backend.ExpungeRequest{Mailbox: mailbox(name), UIDs: uids})
			return err
		},
		"ClaimRecent": func(name string) error {
			_, err := w.ClaimRecent(ctx, mailbox(name), [16]byte{}, nil)
			return err
		},
		"CreateMailbox": func(name string) error { return w.CreateMailbox(ctx, mailbox(name)) },
		"DeleteMailbox": func(name string) error { return w.DeleteMailbox(ctx, mailbox(name)) },
		"RenameMailbox": func(name string) error { return w.RenameMailbox(ctx, mailbox(name), "b") },
		"Subscribe":     func(name string) error { return w.Subscribe(ctx, mailbox(name), true) },
	}
}

// TestWriteIsNotRepeated: a write in whose middle the process dies may have been done, and is not done again.
func TestWriteIsNotRepeated(t *testing.T) {
	h, _ := newHost(t)
	c := testConfig(t)
	c.RestartServed = 20 * time.Millisecond
	p := mustStart(t, h, c)
	for name, call := range writes(t.Context(), p.Storage().(backend.Writer)) {
		marker := filepath.Join(t.TempDir(), "died")
		err := call("die " + marker)
		if err == nil || backend.KindOf(err) != backend.KindUnavailable || !errors.Is(err, pluginrpc.ErrGone) || errors.Is(err, pluginrpc.ErrUnsent) {
			t.Errorf("%s, while the plugin died: %v, want KindUnavailable with ErrGone", name, err)
		}
		if _, err := os.Stat(marker); err != nil {
			t.Errorf("%s did not reach the plugin: %v", name, err)
		}
		if err := call("die " + marker); err != nil {
			t.Errorf("%s of the new process: %v", name, err)
		}
	}
	if s := p.Stats(); s.Repeated != 0 || s.Restarts != 9 {
		t.Errorf("stats %+v, want 9 restarts and nothing repeated", s)
	}
}

// TestUnsentWriteIsRepeated: one that certainly did not reach the dead process is done by the next.
func TestUnsentWriteIsRepeated(t *testing.T) {
	h, _ := newHost(t)
	p := mustStart(t, h, testConfig(t))
	attempts := 0
	err := p.call(t.Context(), onceCalled, func(b backend.Plugin) error {
		if attempts++; attempts == 1 {
			kill(t, p)
			for err := error(nil); err == nil; err = b.Health(t.Context()) { // until the connection is gone
			}
		}
		return b.(backend.Writer).Subscribe(t.Context(), mailbox("a"), true)
	})
	if err != nil || attempts != 2 {
		t.Errorf("%v after %d attempts, want success after 2", err, attempts)
	}
	if s := p.Stats(); s.Repeated != 1 || s.Calls != 1 || len(s.Errors) != 0 {
		t.Errorf("stats %+v", s)
	}
}

// TestWritesOfKilledPlugins: whenever the process is killed, no write is done twice, and none that succeeded is missing.
func TestWritesOfKilledPlugins(t *testing.T) {
	h, _ := newHost(t)
	c := testConfig(t)
	c.RestartServed = 20 * time.Millisecond
	p := mustStart(t, h, c)
	w := p.Storage().(backend.Writer)
	file := filepath.Join(t.TempDir(), "notes")
	succeeded := map[string]bool{}
	for i := range 20 {
		killed := make(chan struct{})
		go func() { // ends with the process
			defer close(killed)
			kill(t, p)
		}()
		for k := range 20 {
			line := fmt.Sprintf("%d-%d", i, k)
			err := w.CreateMailbox(t.Context(), mailbox("note "+file+" "+line))
			if err != nil && backend.KindOf(err) != backend.KindUnavailable {
				t.Errorf("%s: %v", line, err)
			}
			succeeded[line] = err == nil
		}
		<-killed
		pidOf(t, p) // there is a process to kill
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	done := map[string]int{}
	for _, line := range strings.Fields(string(b)) {
		done[line]++
	}
	for line, ok := range succeeded {
		if ok && done[line] != 1 || done[line] > 1 {
			t.Errorf("%s: success %v, done %d times", line, ok, done[line])
		}
	}
}

func TestReadOnlyStorageIsNotWritten(t *testing.T) {
	for _, inproc := range []bool{false, true} {
		h, _ := newHost(t)
		c := testConfig(t)
		c.Plugin.ReadOnly = true
		if inproc {
			c.Command, c.Env = nil, nil
			c.Inproc = func() backend.Plugin { return &testPlugin{kind: backend.KindStorage} }
		}
		p := mustStart(t, h, c)
		if p.Storage().Info().Has(backend.CapWrite) {
			t.Error("CapWrite is announced")
		}
		file := filepath.Join(t.TempDir(), "notes")
		for name, call := range writes(t.Context(), p.Storage().(backend.Writer)) {
			if err := call("note " + file + " x"); err == nil || backend.KindOf(err) != backend.KindReadOnly {
				t.Errorf("%s: %v, want KindReadOnly", name, err)
			}
		}
		if _, err := os.Stat(file); err == nil {
			t.Error("a write reached the plugin")
		}
	}
}

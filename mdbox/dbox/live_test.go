package dbox_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mapindex"
	"github.com/roostmail/roost/mdbox/mdboxtest"
)

// liveWriter saves messages to the files of a store that Dovecot writes to at the same time. It leaves the map alone, so
// it can not name new files, and what it saves is unknown until a repair.
type liveWriter struct {
	store *mdboxtest.Store
	files *dbox.Files
	rnd   *rand.Rand
	name  string
	saved []string
}

func (w *liveWriter) run(transactions int) error {
	m, err := mapindex.Open(w.store.Storage(), index.Options{})
	if err != nil {
		return err
	}
	for i := range transactions {
		if _, err := m.Refresh(); err != nil {
			return err
		}
		var entries []mapindex.Entry
		m.All(func(_ mapindex.UID, e mapindex.Entry, _ error) bool {
			entries = append(entries, e)
			return true
		})
		if err := w.transaction(i, candidates(entries)); err != nil {
			return err
		}
	}
	return nil
}

func (w *liveWriter) transaction(i int, from func(func(dbox.Candidate) bool)) error {
	a := w.files.NewAppender(from)
	defer a.Abort()
	var texts []string
	for k := range 1 + w.rnd.IntN(3) {
		lines := 1 + w.rnd.IntN(60)
		if w.rnd.IntN(10) == 0 {
			lines = 4000 // more than is put together in memory
		}
		text := fmt.Sprintf("Subject: %s-%d-%d\r\n\r\n", w.name, i, k) + strings.Repeat("a line of a message that is ours\r\n", lines)
		if _, err := a.Save(dbox.NewMessage{Received: 1706788800, Mailbox: "INBOX"}, strings.NewReader(text)); err != nil {
			return err
		}
		texts = append(texts, text)
	}
	if err := a.Sync(); err != nil {
		return err
	}
	if a.NewFiles() > 0 || w.rnd.IntN(4) == 0 {
		return a.Abort()
	}
	w.saved = append(w.saved, texts...)
	return a.Release()
}

func TestManyWritersAndDovecotAppendToTheSameFiles(t *testing.T) {
	store := mdboxtest.MakeStore(t, "--content", "fresh", "--rotate", "100M")
	files := dbox.NewFiles(dbox.Config{StorageDir: store.Storage(), RotateSize: 100 << 20, Report: func(err error) { t.Error(err) }})
	defer files.Close()
	const writers, transactions, sessions, appends = 3, 40, 6, 20
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var all []*liveWriter
	var running sync.WaitGroup
	errs := make([]error, writers)
	for i := range writers {
		w := &liveWriter{store: store, files: files, rnd: rand.New(rand.NewPCG(seed, uint64(i))), name: fmt.Sprintf("ours-%d", i)}
		all = append(all, w)
		running.Go(func() { errs[i] = w.run(transactions) })
	}
	want := map[string]int{}
	for i := range sessions {
		var commands []string
		for k := range appends {
			text := fmt.Sprintf("Subject: theirs-%d-%d\r\n\r\n", i, k) + strings.Repeat("a line of Dovecot's message\r\n", 1+(i*k)%50)
			commands = append(commands, appendCommand(text))
			want[text]++
		}
		store.IMAP(t, commands...)
	}
	running.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if log, err := os.ReadFile(filepath.Join(filepath.Dir(store.Conf), "dovecot.log")); err != nil || strings.Contains(string(log), "Error") {
		t.Errorf("Dovecot's log: %v\n%s", err, log)
	}
	ours := 0
	for _, w := range all {
		for _, text := range w.saved {
			want[text]++
			ours++
		}
	}
	if ours == 0 {
		t.Error("no file was free for us even once")
	}
	t.Logf("%d messages are ours", ours)

	store.Doveadm(t, "force-resync", "INBOX") // puts ours into INBOX
	for _, text := range literals(t, store.IMAP(t, "SELECT INBOX", "FETCH 1:* (RFC822.SIZE BODY.PEEK[])")) {
		want[text]--
	}
	for text, n := range want {
		if n > 0 || n < 0 && !strings.Contains(text, "Return-Path") {
			t.Errorf("a message is missing %d times: %.60q", n, text)
		}
	}
}

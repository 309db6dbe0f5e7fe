package mdbox_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/vfs"
)

// wholeFS fails a test if a mailbox has a directory and not the log of its index, for as long as one operation.
type wholeFS struct {
	vfs.FS
	t *testing.T
	// mailboxes is the directory of all mailboxes.
	mailboxes string
}

func (w wholeFS) look(after string) {
	w.t.Helper()
	for _, pattern := range []string{"*/dbox-Mails", "*/*/dbox-Mails"} {
		boxes, err := filepath.Glob(filepath.Join(w.mailboxes, pattern))
		if err != nil {
			w.t.Fatal(err)
		}
		for _, box := range boxes {
			if _, err := w.FS.Stat(filepath.Join(box, "dovecot.index.log")); err != nil {
				w.t.Errorf("after %s: %v", after, err)
			}
		}
	}
}

func (w wholeFS) Mkdir(name string, perm fs.FileMode) error {
	defer w.look("mkdir " + name)
	return w.FS.Mkdir(name, perm)
}

func (w wholeFS) Rename(from, to string) error {
	defer w.look("rename " + from)
	return w.FS.Rename(from, to)
}

func (w wholeFS) OpenWrite(name string, how vfs.How, perm fs.FileMode) (vfs.WritableFile, error) {
	defer w.look("open " + name)
	return w.FS.OpenWrite(name, how, perm)
}

// resolve returns a location with a home of its own.
func resolve(t *testing.T, location string) mdbox.Location {
	t.Helper()
	template, err := mdbox.ParseLocation(location)
	if err != nil {
		t.Fatal(err)
	}
	l, err := template.Resolve(mdbox.Vars{User: "testuser", Home: t.TempDir()}, "/")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestMailboxAppearsWhole: a Dovecot that finds the directory of a mailbox while it is being made finds its index, too.
func TestMailboxAppearsWhole(t *testing.T) {
	for _, location := range []string{"mdbox:~/mdbox", "sdbox:~/sdbox"} {
		t.Run(location, func(t *testing.T) {
			l := resolve(t, location)
			w := wholeFS{vfs.OS, t, filepath.Join(l.Root, "mailboxes")}
			s := mdbox.New(l, mdbox.Options{FS: w, Write: &mdbox.Writing{}})
			defer s.Close()
			for _, name := range []string{"INBOX", "a", "a/b"} {
				if err := s.CreateMailbox(t.Context(), name); err != nil {
					t.Fatal(err)
				}
				if open(t, s, name).UIDValidity == 0 {
					t.Errorf("%s has no UIDVALIDITY", name)
				}
			}
			left, err := filepath.Glob(filepath.Join(l.Root, "..*"))
			if err != nil || len(left) > 0 {
				t.Errorf("left over: %v, %v", left, err)
			}
		})
	}
}

// bentFS fails to make or to move a directory below the root.
type bentFS struct {
	vfs.FS
	mkdir, rename error
}

func (b bentFS) Mkdir(name string, perm fs.FileMode) error {
	if b.mkdir != nil && filepath.Base(name) == "..roost-new" {
		return &fs.PathError{Op: "mkdir", Path: name, Err: b.mkdir}
	}
	return b.FS.Mkdir(name, perm)
}

func (b bentFS) Rename(from, to string) error {
	if b.rename != nil && filepath.Base(to) == "dbox-Mails" {
		return &fs.PathError{Op: "rename", Path: from, Err: b.rename}
	}
	return b.FS.Rename(from, to)
}

// TestMailboxIsMadeInPlace: a mailbox that can not be made elsewhere and moved is made all the same.
func TestMailboxIsMadeInPlace(t *testing.T) {
	for _, b := range []bentFS{{mkdir: unix.EACCES}, {rename: unix.EXDEV}} {
		l := resolve(t, "mdbox:~/mdbox")
		b.FS = vfs.OS
		s := mdbox.New(l, mdbox.Options{FS: b, Write: &mdbox.Writing{}})
		defer s.Close()
		if err := s.CreateMailbox(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if open(t, s, "a").UIDValidity == 0 {
			t.Error("no UIDVALIDITY")
		}
		left, err := filepath.Glob(filepath.Join(l.Root, "..*"))
		if err != nil || len(left) > 0 {
			t.Errorf("left over: %v, %v", left, err)
		}
	}
}

// hastyFS lets somebody else rename the mailbox A to B as soon as it has its directory.
type hastyFS struct {
	vfs.FS
	whole bool // a mailbox can be made elsewhere, and moved to its place
	done  *bool
}

func (h hastyFS) Mkdir(name string, perm fs.FileMode) error {
	if !h.whole && strings.HasPrefix(filepath.Base(name), "..") {
		return &fs.PathError{Op: "mkdir", Path: name, Err: unix.EACCES}
	}
	return h.rename(name, h.FS.Mkdir(name, perm))
}

func (h hastyFS) Rename(from, to string) error { return h.rename(to, h.FS.Rename(from, to)) }

func (h hastyFS) rename(made string, err error) error {
	if dir := filepath.Dir(made); err == nil && filepath.Base(made) == "dbox-Mails" && !*h.done {
		*h.done = true
		return os.Rename(dir, filepath.Join(filepath.Dir(dir), "B"))
	}
	return err
}

// TestMailboxRenamedAtOnce: a mailbox that somebody else renames before its directory is durable was made; it is made once, and nothing is damaged.
func TestMailboxRenamedAtOnce(t *testing.T) {
	for whole, want := range map[bool]error{true: nil, false: mdbox.ErrNotFound} {
		l, done := resolve(t, "mdbox:~/mdbox"), false
		s := mdbox.New(l, mdbox.Options{FS: hastyFS{vfs.OS, whole, &done}, Write: &mdbox.Writing{}})
		defer s.Close()
		if err := s.CreateMailbox(t.Context(), "A"); !errors.Is(err, want) || !done {
			t.Errorf("whole: %t: %v, want %v; renamed: %t", whole, err, want, done)
		}
		if diff := cmp.Diff(map[string]bool{"B": true}, names(t, s)); diff != "" {
			t.Errorf("whole: %t: mailboxes (-want +got):\n%s", whole, diff)
		}
	}
}

// TestGoneMailboxIsNotMadeAgain: a mailbox that is renamed or deleted between the moment at which its directory is seen and that at which its index
// is opened is gone, and not one that was never completed: it does not appear once more, empty, under the old name.
func TestGoneMailboxIsNotMadeAgain(t *testing.T) {
	for _, location := range []string{"mdbox:%h/mail", "sdbox:%h/mail", "mdbox:%h/mail:INDEX=%h/index", "mdbox:%h/mail:LAYOUT=index", "maildir:%h/mail"} {
		for change, do := range map[string]func(s *mdbox.Store) error{
			"renamed": func(s *mdbox.Store) error { return s.RenameMailbox(t.Context(), "A", "B") },
			"deleted": func(s *mdbox.Store) error { return s.DeleteMailbox(t.Context(), "A") },
		} {
			for use, open := range map[string]func(s *mdbox.Store) error{
				"opened":  func(s *mdbox.Store) error { _, err := s.OpenMailbox("A"); return err },
				"counted": func(s *mdbox.Store) error { return mdbox.RecountReferences(s) },
			} {
				if use == "counted" && (change == "deleted" || !strings.HasPrefix(location, "mdbox:")) {
					continue // both take MAP; there is none
				}
				t.Run(location+" "+change+" "+use, func(t *testing.T) {
					l := resolve(t, location)
					by := mdbox.New(l, mdbox.Options{Write: &mdbox.Writing{}})
					t.Cleanup(func() { by.Close() })
					if err := by.CreateMailbox(t.Context(), "A"); err != nil {
						t.Fatal(err)
					}
					if _, err := openBox(t, by, "A").Append(t.Context(), []mdbox.NewMessage{newMail("x", 10, 0)}); err != nil {
						t.Fatal(err)
					}
					hooked := &mdboxtest.Hooked{FS: vfs.OS, Hook: func(string) error { return nil }}
					s := mdbox.New(l, mdbox.Options{FS: hooked, Write: &mdbox.Writing{}})
					t.Cleanup(func() { s.Close() })
					dir := openBox(t, s, "A").Dir()
					done := false
					hooked.Hook = func(name string) error {
						if !done && strings.HasPrefix(name, dir+"/dovecot.index") {
							done = true
							return do(by)
						}
						return nil
					}
					var want error
					if use == "opened" && (change == "deleted" || l.Layout != mdbox.LayoutIndex) { // where a rename moves no files
						want = mdbox.ErrNotFound
					}
					if err := open(s); !errors.Is(err, want) || !done {
						t.Errorf("%v, want %v; changed %t", err, want, done)
					}
					if names(t, s)["A"] {
						t.Error("the mailbox is there again")
					}
				})
			}
		}
	}
}

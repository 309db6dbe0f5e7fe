package filedict_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/roostmail/roost/mdbox/filedict"
	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/vfs"
)

func newFile(t *testing.T) *filedict.File {
	return &filedict.File{FS: vfs.OS, Path: filepath.Join(t.TempDir(), "dict"), Locks: &filelock.Config{Method: filelock.MethodFcntl}, Perm: vfs.Private, Fsync: true}
}

// TestUpdatesLoseNothing lets several writers, each with a File of its own, add keys at once.
func TestUpdatesLoseNothing(t *testing.T) {
	first := newFile(t)
	const writers, each = 4, 25
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			f := *first
			f.Locks = &filelock.Config{Method: filelock.MethodFcntl}
			for i := range each {
				err := f.Update(context.Background(), func(d *filedict.Dict) (bool, error) {
					d.Set(fmt.Sprintf("%d/%d", w, i), "v")
					return true, nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	d, err := first.Read()
	if err != nil || d.Len() != writers*each {
		t.Errorf("%d keys, want %d; %v", d.Len(), writers*each, err)
	}
}

func TestUpdateKeepsPermissions(t *testing.T) {
	f := newFile(t)
	set := func(d *filedict.Dict) (bool, error) { d.Set("k", "v"); return true, nil }
	for _, want := range []os.FileMode{0o600, 0o640} {
		if err := f.Update(context.Background(), set); err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(f.Path)
		if err != nil || st.Mode().Perm() != want {
			t.Errorf("mode %v, want %v; %v", st.Mode(), want, err)
		}
		if err := os.Chmod(f.Path, 0o640); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFailedUpdate leaves the file as it was, and no lock behind.
func TestFailedUpdate(t *testing.T) {
	f := newFile(t)
	f.Max = 20
	if err := os.WriteFile(f.Path, []byte("k\nv\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refuse := errors.New("no")
	for _, c := range []struct {
		change func(d *filedict.Dict) (bool, error)
		want   error
	}{
		{func(d *filedict.Dict) (bool, error) { d.Set("k", "w"); return true, refuse }, refuse},
		{func(d *filedict.Dict) (bool, error) { d.Set("k", "w"); return false, nil }, nil},
		{func(d *filedict.Dict) (bool, error) { d.Set("k", "far too much for this file"); return true, nil }, vfs.ErrTooLarge},
	} {
		if err := f.Update(context.Background(), c.change); !errors.Is(err, c.want) {
			t.Errorf("%v, want %v", err, c.want)
		}
		if b, err := os.ReadFile(f.Path); string(b) != "k\nv\n" {
			t.Errorf("the file is %q, %v", b, err)
		}
		if _, err := os.Stat(f.Path + ".lock"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the lock is still there: %v", err)
		}
	}
	f.Max = 3
	if _, err := f.Read(); !errors.Is(err, vfs.ErrTooLarge) {
		t.Errorf("read a file above Max: %v", err)
	}
}

package mdbox_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/roostmail/roost/mdbox/check"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/vfs/crashfs"
)

// TestCrashRebuild cuts the power at every operation of every scenario, and lets chance decide what of that which was not durable is found afterwards: that
// can be what no reader accepts. A rebuild puts the store in order, and has all that was acknowledged and promised.
func TestCrashRebuild(t *testing.T) {
	root := mdboxtest.Golden(t, "dovecot-2.3/tiny").Root
	old := time.Now().Add(-time.Hour) // lock files that a crash has left are overridden at once
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chtimes(path, old, old))
	})
	if err != nil {
		t.Fatal(err)
	}
	base := crashfs.New()
	if err := base.Load(root, crashRoot); err != nil {
		t.Fatal(err)
	}
	for _, sc := range crashScenarios {
		for _, fsync := range []index.Fsync{index.FsyncOptimized, index.FsyncAlways} {
			t.Run(fmt.Sprintf("%s/fsync %d", sc.name, fsync), func(t *testing.T) {
				t.Parallel()
				rebuilt := 0
				for n := 1; n < 10_000; n++ {
					more, r := rebuildAt(t, base, sc, fsync, n)
					if rebuilt += r; !more || t.Failed() {
						t.Logf("%d operations, %d of the stores were damaged", n-1, rebuilt)
						return
					}
				}
			})
		}
	}
}

// rebuildAt lets operation n be the last. more is false if there are not so many; rebuilt is how many stores were damaged.
func rebuildAt(t *testing.T, base *crashfs.FS, sc scenario, fsync index.Fsync, n int) (more bool, rebuilt int) {
	fsys := base.After(crashfs.LoseNothing, 0)
	before := readContents(t, fsys)
	want := cloneContents(before)
	s := crashStore(t, fsys, fsync, sc.write)
	fsys.Inject(crashfs.Fault{N: n, What: crashfs.PowerCut})
	_, err := sc.do(s, want)
	hit := fsys.Hit()
	s.Close()
	for seed := range uint64(6) {
		after := fsys.After(crashfs.LoseSome, seed)
		damaged := after.After(crashfs.LoseNothing, 0)
		s := crashStore(t, after, index.FsyncOptimized, nil)
		r, rebuildErr := check.Rebuild(context.Background(), s, check.RebuildOptions{FS: after})
		if r.Changed() {
			rebuilt++
		}
		var problems []string
		if rebuildErr != nil {
			problems = append(problems, rebuildErr.Error())
		}
		report, verifyErr := check.Verify(context.Background(), s, check.Options{FS: after})
		s.Close()
		if verifyErr != nil {
			problems = append(problems, verifyErr.Error())
		}
		for _, f := range report.Findings {
			if f.Kind == check.Damage {
				problems = append(problems, "after the rebuild: "+f.String())
			}
		}
		got := readContents(t, after)
		for box := range before {
			if err == nil && (!sc.flagsOnly || fsync == index.FsyncAlways) {
				problems = append(problems, missing(box, want[box], got[box])...)
			} else if err != nil {
				problems = append(problems, gone(box, before[box], got)...)
			}
		}
		if len(problems) > 0 {
			found, _ := check.Verify(context.Background(), crashStore(t, damaged, fsync, nil), check.Options{FS: damaged})
			t.Errorf("operation %d, seed %d, acknowledged %v:\n%s\nfound %v\ndid %v\n%s", n, seed, err == nil, strings.Join(problems, "\n"),
				found.Findings, r.Done, fsys.TraceString(crashfs.Writes))
			return false, rebuilt
		}
	}
	return hit, rebuilt
}

// gone returns the texts of a mailbox that are in none any more; a message that was being expunged, or moved, may have gone.
func gone(box string, before map[uint32]string, got contents) (problems []string) {
	for uid, row := range before {
		text := row[strings.IndexByte(row, '\n'):]
		found := false
		for _, messages := range got {
			for _, r := range messages {
				found = found || strings.HasSuffix(r, text)
			}
		}
		if !found && (box != "INBOX" || uid > 2) {
			problems = append(problems, fmt.Sprintf("%s: UID %d is gone", box, uid))
		}
	}
	return problems
}

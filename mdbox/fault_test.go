package mdbox_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/vfs/crashfs"
)

// TestFault lets every operation of every scenario fail once, in every way, or fill the disk. A change that is acknowledged is there, one that fails
// is not, or where the disk did not say whether it has the data, is there as a whole; the same store goes on afterwards.
func TestFault(t *testing.T) {
	testFault(t, crashBase(t), slices.Concat(crashScenarios, togetherScenarios))
}

func testFault(t *testing.T, base *crashfs.FS, scenarios []scenario) {
	for _, sc := range scenarios {
		for _, what := range []crashfs.What{crashfs.IOError, crashfs.Short, crashfs.Full} {
			t.Run(fmt.Sprintf("%s/%v", sc.name, what), func(t *testing.T) {
				t.Parallel()
				for n := 1; n < 10_000; n++ {
					if !faultAt(t, base, sc, crashfs.Fault{N: n, What: what}) || t.Failed() {
						t.Logf("%d operations", n-1)
						return
					}
				}
			})
		}
	}
}

// faultAt lets one operation fail. It returns false if there are not so many.
func faultAt(t *testing.T, base *crashfs.FS, sc scenario, fault crashfs.Fault) bool {
	fsys := base.After(crashfs.LoseNothing, 0)
	before := readContents(t, fsys)
	want := cloneContents(before)
	w := &mdbox.Writing{Cache: cache.DefaultPolicy(), Fsync: index.FsyncOptimized}
	if sc.write != nil {
		sc.write(w)
	}
	s := mdbox.New(crashLocation(t, fsys), mdbox.Options{FS: fsys, Write: w})
	fsys.Inject(fault)
	failed, err := sc.do(s, want)
	hit := fsys.Hit()
	fsys.Inject(crashfs.Fault{})
	if err != nil && !hit {
		t.Fatalf("without a fault: %v", err)
	}
	var problems []string
	if got := readContents(t, fsys); !slices.ContainsFunc(outcomes(t, base, sc, failed), func(c contents) bool { return equalContents(c, got) }) {
		problems = append(problems, fmt.Sprintf("after %d steps, there is something else than there should be", failed))
	}
	if err := save(s, "INBOX", contents{"INBOX": {}}, "same store"); err != nil {
		problems = append(problems, fmt.Sprintf("save by the same store: %v", err))
	}
	s.Close()
	if err := fsys.Check(); err != nil {
		problems = append(problems, err.Error())
	}
	problems = append(problems, judgeCrash(t, fsys, before, want, err == nil)...)
	if len(problems) > 0 {
		t.Errorf("%v, error %v:\n%s\n%s", fault, err, strings.Join(problems, "\n"), fsys.TraceString(crashfs.Writes))
	}
	return hit
}

func equalContents(a, b contents) bool {
	return maps.EqualFunc(a, b, func(x, y map[uint32]string) bool { return maps.Equal(x, y) })
}

// outcomes are the right contents of the store when the step failed of a scenario has failed: those before it, and those after it if
// only the disk did not say that it has the data. They are found by doing the same without faults.
func outcomes(t *testing.T, base *crashfs.FS, sc scenario, failed int) (right []contents) {
	t.Helper()
	for _, steps := range [][]step{sc.steps[:failed], sc.steps[:min(failed+1, len(sc.steps))], {sc.halfway}} {
		if len(steps) == 1 && steps[0] == nil {
			continue
		}
		fsys := base.After(crashfs.LoseNothing, 0)
		s := crashStore(t, fsys, index.FsyncOptimized, sc.write)
		done := scenario{steps: steps}
		if _, err := done.do(s, readContents(t, fsys)); err != nil {
			t.Fatal(err)
		}
		s.Close()
		right = append(right, readContents(t, fsys))
	}
	return right
}

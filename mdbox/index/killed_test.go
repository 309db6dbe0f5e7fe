package index_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/translog"
)

// killedDir is the environment variable that makes the test binary a writer, which is killed.
const killedDir = "ROOST_TEST_KILLED_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killedDir); dir != "" {
		if err := appendForEver(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func killedWriting() *index.Writing {
	return &index.Writing{Lock: &filelock.Config{DotlockExcl: true}, Fsync: index.FsyncNever, Backup: true,
		RotateMaxSize: 1000, RewriteMinLog: 1, RewriteMaxLog: 300, Now: func() time.Time { return time.Now().Add(24 * time.Hour) }}
}

// appendForEver appends messages, and prints the UID of each after its Commit.
func appendForEver(dir string) error {
	x, err := index.Open(index.Options{Dir: dir})
	if err != nil {
		return err
	}
	w := killedWriting()
	for {
		l, err := x.Lock(context.Background(), w)
		if err != nil {
			return err
		}
		uid := l.State().NextUID()
		data := translog.NewExtRecUpdates(8)
		data.Add(uid, []byte(fmt.Sprintf("%08d", uid)))
		if err := l.Commit(true, external(translog.Appends{{UID: uid}}), external(translog.ExtIntros{l.Intro("x", 0, 8, 8)}), external(data),
			internal(translog.FlagUpdates{{UIDs: translog.UIDRange{First: uid, Last: uid}, Add: index.FlagSeen}})); err != nil {
			return err
		}
		fmt.Println(uid)
		if err := errors.Join(l.CommitTail(), l.Maintain(), l.Unlock()); err != nil {
			return err
		}
	}
}

// Writers are killed at any moment. What they told to have written is there, and the next one goes on.
func TestKilledWriters(t *testing.T) {
	w := killedWriting()
	x, l := newIndex(t, w)
	unlock(t, l)
	dir := filepath.Dir(x.Path())
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var told uint64
	for round := range 40 {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), killedDir+"="+dir)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range 1 + rnd.IntN(60) {
			if !lines.Scan() {
				break
			}
			if told, err = strconv.ParseUint(lines.Text(), 10, 32); err != nil {
				t.Error(err)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		for lines.Scan() { // what it told before it died
			if told, err = strconv.ParseUint(lines.Text(), 10, 32); err != nil {
				t.Error(err)
			}
		}
		if err := cmd.Wait(); err == nil || stderr.Len() > 0 {
			t.Errorf("round %d: the writer ended with %v: %s", round, err, stderr.String())
		}
		x, err := index.Open(index.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		s := x.State()
		if d, _ := x.Damage(); len(d) > 0 || s.Check() != nil || uint64(s.NextUID()) <= told {
			t.Fatalf("round %d: damage %v, %v, next_uid %d, told %d", round, d, s.Check(), s.NextUID(), told)
		}
		for i, uid := range s.UIDs() {
			if uid > 5 && string(s.Ext("x").Record(i)) != fmt.Sprintf("%08d", uid) || uid != uint32(i+1) {
				t.Fatalf("round %d: message %d has UID %d and the data %q", round, i, uid, s.Ext("x").Record(i))
			}
		}
	}
	if _, err := x.Refresh(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d messages, log %v", told, x.State().Pos())
}

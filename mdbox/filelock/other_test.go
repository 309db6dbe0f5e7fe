package filelock_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/mdbox/vfs"
)

// other is another process: this test binary again, which locks as Dovecot does, with classic POSIX locks.
type other struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

const asOther = "ROOST_FILELOCK_OTHER"

func TestMain(m *testing.M) {
	if os.Getenv(asOther) != "" {
		serveOther()
		return
	}
	os.Exit(m.Run())
}

// serveOther carries out one command a line, and answers each with a line: "ok", "busy" or an error.
func serveOther() {
	files := map[string]*os.File{}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		command, path, _ := strings.Cut(in.Text(), ": ")
		f := files[path]
		if f == nil {
			var err error
			if f, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
				fmt.Println(err)
				continue
			}
			files[path] = f
		}
		var err error
		switch command {
		case "fcntl":
			err = unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
		case "wait fcntl":
			err = unix.FcntlFlock(f.Fd(), unix.F_SETLKW, &unix.Flock_t{Type: unix.F_WRLCK})
		case "wait flock":
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		case "flock":
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		case "close":
			err = f.Close()
			delete(files, path)
		}
		switch err {
		case nil:
			fmt.Println("ok")
		case unix.EAGAIN, unix.EACCES:
			fmt.Println("busy")
		default:
			fmt.Println(err)
		}
	}
}

func startOther(t *testing.T) *other {
	t.Helper()
	o := &other{cmd: exec.Command(os.Args[0])}
	o.cmd.Env = append(os.Environ(), asOther+"=1", "GORACE=atexit_sleep_ms=0")
	o.cmd.Stderr = os.Stderr
	var err error
	if o.in, err = o.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := o.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	o.out = bufio.NewReader(out)
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.end)
	return o
}

// end ends the process, and with it its locks. Its id is free then.
func (o *other) end() {
	o.in.Close()
	o.cmd.Wait()
}

// start begins a command; answer returns what it said.
func (o *other) start(t *testing.T, command, path string) {
	t.Helper()
	if _, err := fmt.Fprintf(o.in, "%s: %s\n", command, path); err != nil {
		t.Fatal(err)
	}
}

func (o *other) answer(t *testing.T) string {
	t.Helper()
	line, err := o.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\n")
}

// blocked waits until somebody sleeps in the kernel for a lock on the file.
func blocked(t *testing.T, path string) {
	t.Helper()
	st, err := vfs.OS.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	waiting := regexp.MustCompile(fmt.Sprintf(`-> (POSIX|OFDLCK|FLOCK) +ADVISORY +WRITE .*:%d `, st.Ino))
	for !waiting.MatchString(readFile(t, "/proc/locks")) {
		runtime.Gosched()
	}
}

func (o *other) want(t *testing.T, command, path, answer string) {
	t.Helper()
	o.start(t, command, path)
	if got := o.answer(t); got != answer {
		t.Fatalf("other process: %s %s: %q, want %q", command, path, got, answer)
	}
}

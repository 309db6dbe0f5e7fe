package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// The servers that are measured.
const (
	nameRoost   = "roost"
	nameDovecot = "dovecot"
	nameInproc  = "inproc" // roost with its plugins in core
)

// server is one side of the comparison, on a copy of the store of its own.
type server struct {
	name string
	mail string // the directory with the homes of all users
	run  func() (addr string, pid int, stop func() error, err error)

	addr    string
	process atomic.Int64
	stop    func() error
}

// pid is that of the process that all others descend from. Another goroutine may restart the server.
func (s *server) pid() int { return int(s.process.Load()) }

// begin starts the server, perhaps at another address than before.
func (s *server) begin() error {
	addr, pid, stop, err := s.run()
	if err == nil {
		s.addr, s.stop = addr, stop
		s.process.Store(int64(pid))
	}
	return err
}

// start starts the servers on copies of the store at home.
func (f opsFlags) start(home string) (servers []*server, stop func(), err error) {
	run, remove, err := rig.Dir("roost-bench-")
	if err != nil {
		return nil, nil, err
	}
	stop = func() {
		for _, s := range servers {
			if err := s.stop(); err != nil {
				fmt.Fprintln(os.Stderr, "roost-bench:", s.name, err)
			}
		}
		remove()
	}
	names := f.servers
	if f.isolation != "" {
		if f.isolation != nameInproc {
			stop()
			return nil, nil, fmt.Errorf("--isolation %s: only %s is known", f.isolation, nameInproc)
		}
		names = append(slices.Clone(names), nameInproc)
	}
	for _, name := range names {
		s := &server{name: name, mail: filepath.Join(run, name)}
		if err := rig.CopyTree(home, s.mail); err != nil {
			stop()
			return nil, nil, err
		}
		s.run = s.runner(f, filepath.Join(run, "run-"+name))
		if err := s.begin(); err != nil {
			stop()
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		servers = append(servers, s)
	}
	return servers, stop, nil
}

// runner returns what starts a server.
func (s *server) runner(f opsFlags, dir string) func() (string, int, func() error, error) {
	homes := filepath.Join(s.mail, "%u")
	if s.name == nameDovecot {
		return func() (string, int, func() error, error) {
			d, err := rig.StartDovecot(rig.DovecotOptions{Dir: dir, Home: homes, Extra: "mail_plugins = zlib"})
			if err != nil {
				return "", 0, nil, err
			}
			pid, err := d.PID()
			return d.Addr, pid, d.Stop, err
		}
	}
	o := rig.RoostOptions{Binary: f.binary, Dir: dir, Home: homes, Users: benchUsers}
	if s.name == nameInproc {
		o.Over = "[auth]\nisolation = \"inproc\"\n[storage]\nisolation = \"inproc\"\n"
	}
	return func() (string, int, func() error, error) {
		r, err := rig.StartRoost(o)
		if err != nil {
			return "", 0, nil, err
		}
		return r.Addr, r.PID(), r.Stop, nil
	}
}

// cold restarts the server, with its mail not in the kernel's memory.
func (s *server) cold() error {
	return s.restart(func() error {
		return filepath.WalkDir(s.mail, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			if err := f.Sync(); err != nil { // what is not on disk is not forgotten
				return err
			}
			return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
		})
	})
}

// uncached restarts the server without the cache files of a mailbox of benchUser.
func (s *server) uncached(box string) error {
	return s.restart(func() error {
		file := filepath.Join(s.mail, benchUser, "mdbox", "mailboxes", box, "dbox-Mails", "dovecot.index.cache")
		if err := os.Remove(file); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

// restart ends the server, calls f and starts it again.
func (s *server) restart(f func() error) error {
	if err := s.stop(); err != nil {
		return err
	}
	s.stop = func() error { return nil }
	if err := f(); err != nil {
		return err
	}
	return s.begin()
}

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// userNames is the pattern of the users' names.
const userNames = "u%06d"

// perUID is how many users share a uid: fs.inotify.max_user_instances, 128 by default, is per uid, and Dovecot takes up to two
// for every session on its way into hibernation.
const perUID = 50

// userStore is a store of many users, with one to three messages in the INBOX of each.
type userStore struct {
	dir    string
	passwd string
	users  int
}

// buildUsers makes the store in dir/users, or adds to it what it has too few of: roost itself delivers the messages.
func buildUsers(dir, binary string, users int) (userStore, error) {
	s := userStore{dir: filepath.Join(dir, "users"), users: users}
	s.passwd = filepath.Join(s.dir, "passwd")
	made := filepath.Join(s.dir, "made")
	have := 0
	if b, err := os.ReadFile(made); err == nil {
		if _, err := fmt.Sscan(string(b), &have); err != nil {
			return s, fmt.Errorf("%s: %w; remove %s", made, err, s.dir)
		}
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return s, err
	}
	var passwd strings.Builder
	for i := range max(users, have) {
		uid := rig.MailUID + i/perUID
		home := s.home(i)
		fmt.Fprintf(&passwd, userNames+":{PLAIN}pass:%d:%d::%s::\n", i, uid, uid, home)
		if i < have {
			continue
		}
		if err := errors.Join(os.MkdirAll(home, 0o755), os.Chown(home, uid, uid)); err != nil {
			return s, err
		}
	}
	if err := os.WriteFile(s.passwd, []byte(passwd.String()), 0o644); err != nil {
		return s, err
	}
	if have >= users {
		return s, s.warm()
	}
	fmt.Fprintf(os.Stderr, "making the mailboxes of %d users, once …\n", users-have)
	run, remove, err := rig.Dir("roost-bench-")
	if err != nil {
		return s, err
	}
	defer remove()
	r, err := rig.StartRoost(rig.RoostOptions{Binary: binary, Dir: run, Passwd: s.passwd, Storage: `options.mail_fsync = "never"`})
	if err != nil {
		return s, err
	}
	err = s.deliver(r.Addr, have)
	if err := errors.Join(err, r.Stop()); err != nil {
		return s, err
	}
	return s, errors.Join(os.WriteFile(made, []byte(fmt.Sprintln(users)), 0o644), s.warm())
}

func (s userStore) home(i int) string {
	return filepath.Join(s.dir, fmt.Sprintf("%03d", i/1000), fmt.Sprintf(userNames, i))
}

// deliver appends the messages of the users from have on.
func (s userStore) deliver(addr string, have int) error {
	var at atomic.Int64
	at.Store(int64(have))
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for n := range errs {
		wg.Go(func() {
			for {
				i := int(at.Add(1)) - 1
				if i >= s.users || errs[n] != nil {
					return
				}
				errs[n] = deliverTo(addr, i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func deliverTo(addr string, i int) error {
	c, err := rig.Login(addr, fmt.Sprintf(userNames, i))
	if err != nil {
		return err
	}
	defer c.Close()
	for m := range 1 + i%3 {
		text := fmt.Sprintf("From: sender%d@example.org\r\nTo: "+userNames+"@example.org\r\nSubject: message %d\r\n\r\nThe text of message %d.\r\n", i, i, m, m)
		if _, err := c.Cmd("APPEND INBOX {%d+}\r\n%s", len(text), text); err != nil {
			return err
		}
	}
	return nil
}

// warm looks at every file, so that the kernel's cache of names does not grow during a measurement.
func (s userStore) warm() error {
	return filepath.WalkDir(s.dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			_, err = d.Info()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}

package maildir

import (
	"fmt"
	"path/filepath"
	"time"
)

// Files in tmp/ that were not changed for tempAge are of programs that died. They are looked for when that was not done for cleanEvery
// (dovecot src/lib-storage/index/maildir/maildir-storage.h, MAILDIR_TMP_DELETE_SECS, MAILDIR_TMP_SCAN_SECS).
const (
	tempAge    = 36 * time.Hour
	cleanEvery = 8 * time.Hour
)

// cleanTemp removes old files in tmp/. It is done along with other changes, and its errors only reported.
func (s *syncing) cleanTemp() {
	m := s.l.m
	now := m.c.now()
	if last := time.Unix(int64(s.x.State().Header().LastTempFileScan()), 0); !s.scanned || now.Sub(last) < cleanEvery {
		return
	}
	s.cleaned = uint32(now.Unix())
	if err := m.cleanTemp(now.Add(-tempAge)); err != nil {
		m.c.report(fmt.Errorf("maildir: clean %s: %w", m.path(dirTmp), err))
	}
}

// cleanTemp removes files in tmp/ whose inode was last changed before a time. The time of modification does not count: it may be
// that of the message.
func (m *Mailbox) cleanTemp(before time.Time) error {
	entries, err := m.c.fs().ReadDir(m.path(dirTmp))
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(m.path(dirTmp), e.Name())
		st, err := m.c.fs().Stat(path)
		if err != nil || st.Dir || st.Ctime >= before.UnixNano() {
			if err != nil && !isMissing(err) {
				return err
			}
			continue
		}
		if err := m.c.fs().Remove(path); err != nil && !isMissing(err) {
			return err
		}
	}
	return nil
}

package index

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/translog"
)

// BenchmarkCommit changes a mailbox as one command of a client does: lock, commit, tail,
// look whether maintenance is due, unlock. What STORE and EXPUNGE write is not, and is,
// synced to disk.
func BenchmarkCommit(b *testing.B) {
	for _, c := range []struct {
		name    string
		durable bool
		record  func(uid uint32) translog.NewRecord
	}{
		{"flags", false, func(uid uint32) translog.NewRecord {
			return translog.NewRecord{Payload: translog.FlagUpdates{{UIDs: ranges(uid, uid)[0], Add: FlagFlagged}}}
		}},
		{"keyword", false, func(uid uint32) translog.NewRecord {
			return translog.NewRecord{Payload: translog.KeywordUpdate{Name: "k", UIDs: ranges(uid, uid)}}
		}},
		{"expunge", true, func(uid uint32) translog.NewRecord {
			return translog.NewRecord{External: true, Payload: translog.ExpungeGUIDs{{UID: uid}}}
		}},
	} {
		for _, n := range []uint32{1000, 100000, 1000000} {
			b.Run(fmt.Sprintf("%s/messages=%d", c.name, n), func(b *testing.B) {
				s := largeState(b, n)
				l := newTestLog(b)
				l.hdr.FileSeq, l.hdr.PrevFileSeq, l.body = 3, 2, nil
				s.pos = translog.Pos{FileSeq: 3, Offset: translog.HeaderSize}
				l.write()
				l.writeFile(l.dir+"/dovecot.index", s.AppendSnapshot(nil))
				x, err := Open(Options{Dir: l.dir})
				if err != nil {
					b.Fatal(err)
				}
				w := &Writing{Lock: &filelock.Config{DotlockExcl: true}, Backup: true}
				b.ReportAllocs()
				i := uint32(0)
				for b.Loop() {
					i++
					l, err := x.Lock(context.Background(), w)
					if err != nil {
						b.Fatal(err)
					}
					err = l.Commit(c.durable, c.record(i%n+1))
					if err := errors.Join(err, l.CommitTail(), l.Maintain(), l.Unlock()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

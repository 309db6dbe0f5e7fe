package index

import (
	"bytes"
	"context"
	"testing"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/translog"
)

// FuzzCommit: any records that can be decoded are either refused, and then nothing has
// changed, or a new reader comes to the state that the writer has.
func FuzzCommit(f *testing.F) {
	rec := func(records ...translog.NewRecord) []byte {
		b, err := translog.AppendTransaction(nil, records...)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	ext := func(p translog.Payload) translog.NewRecord { return translog.NewRecord{External: true, Payload: p} }
	f.Add(rec(ext(UIDValidityUpdate(7)), ext(appends(1, 2, 3)), ext(extIntro("x", 8, 2, 2)), ext(recs(2, 2, 5, 5)),
		ext(translog.KeywordUpdate{Name: "k", UIDs: ranges(2, 3)}), ext(translog.ExtAtomicIncs{{UID: 2, Diff: -1}}),
		ext(extIntro("modseq", 16, 8, 8)), ext(translog.ExtHdrUpdates{{Data: make([]byte, 16)}}),
		ext(translog.FlagUpdates{{UIDs: ranges(1, 2)[0], Add: FlagSeen}}), ext(translog.Expunges(ranges(2, 2))),
		ext(translog.ModSeqUpdates{{UID: 1, ModSeq: 99}}), ext(headerUpdate(offLogTailOffset, 40)),
		ext(translog.ExtReset{NewResetID: 4}), ext(translog.IndexDeleted{}), ext(translog.IndexUndeleted{})), uint8(2))
	f.Add(rec(translog.NewRecord{Payload: translog.ExpungeGUIDs{{UID: 1}}}), uint8(1))
	w := &Writing{Lock: &filelock.Config{DotlockExcl: true}, Fsync: FsyncNever, RotateMaxSize: 400, RewriteMinLog: 1, RewriteMaxLog: 100}
	f.Fuzz(func(t *testing.T, body []byte, each uint8) {
		o := Options{Dir: t.TempDir(), MaxStateBytes: 1 << 20}
		x, l, err := Create(context.Background(), o, w)
		if err != nil {
			t.Fatal(err)
		}
		for _, records := range batches(body, int(each)) {
			before := x.State().AppendSnapshot(nil)
			if err := l.Commit(false, records...); err != nil {
				if err := l.Unlock(); err != nil {
					t.Fatal(err)
				}
				if after := x.State().AppendSnapshot(nil); !bytes.Equal(before, after) {
					t.Fatalf("refused with %v, and changed\n%x to\n%x", err, before, after)
				}
				if l, err = x.LockForRepair(context.Background(), w); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if requests, err := l.Requests(); err != nil {
				t.Fatal(err)
			} else if len(requests) == 0 && !x.State().Deleted() {
				if err := l.CommitTail(); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.Maintain(); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Unlock(); err != nil {
			t.Fatal(err)
		}
		if err := x.State().Check(); err != nil {
			t.Fatal(err)
		}
		y, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		if d, _ := y.Damage(); len(d) > 0 {
			t.Fatalf("opened anew: %v", d[0])
		}
		if a, b := x.State().AppendSnapshot(nil), y.State().AppendSnapshot(nil); !bytes.Equal(a, b) {
			t.Errorf("written\n%x, opened anew\n%x", a, b)
		}
	})
}

// batches decodes a log and cuts its records into transactions of n.
func batches(body []byte, n int) (all [][]translog.NewRecord) {
	s := translog.NewScanner(body, translog.Pos{})
	var size uint16
	var batch []translog.NewRecord
	for {
		r, ok := s.Next()
		if !ok {
			return append(all, batch)
		}
		p, err := r.Decode(size)
		if _, boundary := p.(translog.Boundary); err != nil || boundary {
			continue
		}
		if in, ok := p.(translog.ExtIntros); ok && len(in) > 0 {
			size = in[len(in)-1].RecordSize
		}
		if batch = append(batch, translog.NewRecord{External: r.Header.External, Payload: p}); len(batch) > n%8 {
			all, batch = append(all, batch), nil
		}
	}
}

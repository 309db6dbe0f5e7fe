package pluginrpc

import (
	"fmt"
	"time"

	"github.com/roostmail/roost/core/backend"
	hibernationv1 "github.com/roostmail/roost/proto/roost/hibernation/v1"
)

// Conversions between core/backend and roost.hibernation.v1, in pairs. Those from
// the wire check the lengths of columns; backend's Check methods do the rest.

func batchToProto(b *backend.HibernationBatch) *hibernationv1.DecideRequest {
	l := b.Load
	return &hibernationv1.DecideRequest{
		Now: uint64(max(b.Now, 0) / time.Millisecond),
		Load: &hibernationv1.Load{
			MemoryUsed: l.MemoryUsed, MemoryMark: l.MemoryMark, Queued: l.Queued, QueueMark: l.QueueMark,
			Running: l.Running, Workers: l.Workers, Sessions: l.Sessions, Warm: l.Warm, WarmBytes: l.WarmBytes,
			WakesPerSecond: l.WakesPerSecond, LoginsPerSecond: l.LoginsPerSecond,
		},
		Ids:      appendUint32s(nil, b.IDs),
		Keys:     appendUint64s(nil, b.Keys),
		UserKeys: appendUint64s(nil, b.UserKeys),
		Idle:     appendUint32s(nil, b.Idle),
		Gaps:     appendUint32s(nil, b.Gaps),
		Wakes:    appendUint32s(nil, b.Wakes),
		Sessions: appendUint32s(nil, b.Sessions),
		Bytes:    appendUint64s(nil, b.Bytes),
		States:   appendUint8s(nil, b.States),
	}
}

// maxNow is the largest clock that a time.Duration can hold, in milliseconds.
const maxNow = uint64(1<<63-1) / uint64(time.Millisecond)

func batchFromProto(p *hibernationv1.DecideRequest) (*backend.HibernationBatch, error) {
	l := p.GetLoad()
	b := &backend.HibernationBatch{
		Now: time.Duration(min(p.Now, maxNow)) * time.Millisecond,
		Load: backend.HibernationLoad{
			MemoryUsed: l.GetMemoryUsed(), MemoryMark: l.GetMemoryMark(), Queued: l.GetQueued(), QueueMark: l.GetQueueMark(),
			Running: l.GetRunning(), Workers: l.GetWorkers(), Sessions: l.GetSessions(), Warm: l.GetWarm(), WarmBytes: l.GetWarmBytes(),
			WakesPerSecond: l.GetWakesPerSecond(), LoginsPerSecond: l.GetLoginsPerSecond(),
		},
	}
	var d columnDecoder
	b.IDs = d.uint32s("ids", p.Ids)
	b.Keys = d.uint64s("keys", p.Keys)
	b.UserKeys = d.uint64s("user_keys", p.UserKeys)
	b.Idle = d.uint32s("idle", p.Idle)
	b.Gaps = d.uint32s("gaps", p.Gaps)
	b.Wakes = d.uint32s("wakes", p.Wakes)
	b.Sessions = d.uint32s("sessions", p.Sessions)
	b.Bytes = d.uint64s("bytes", p.Bytes)
	b.States = decodeUint8s[backend.HibernationState](p.States)
	if d.err == nil {
		d.err = b.Check()
	}
	if d.err != nil {
		return nil, backend.Errorf(backend.KindInvalidArgument, "%v", d.err)
	}
	return b, nil
}

func answerToProto(a *backend.HibernationAnswer) *hibernationv1.DecideResponse {
	return &hibernationv1.DecideResponse{
		Ids:       appendUint32s(nil, a.IDs),
		Actions:   appendUint8s(nil, a.Actions),
		Again:     appendUint32s(nil, a.Again),
		Warm:      uint32(min(max(a.Warm/time.Millisecond, 0), 1<<32-1)),
		SoftBytes: a.SoftBytes,
	}
}

// answerFromProto returns the rule that the answer to b breaks as its error.
func answerFromProto(p *hibernationv1.DecideResponse, b *backend.HibernationBatch) (*backend.HibernationAnswer, error) {
	var d columnDecoder
	a := &backend.HibernationAnswer{
		IDs:       d.uint32s("ids", p.Ids),
		Actions:   decodeUint8s[backend.HibernationAction](p.Actions),
		Again:     d.uint32s("again", p.Again),
		Warm:      time.Duration(p.Warm) * time.Millisecond,
		SoftBytes: p.SoftBytes,
	}
	if d.err != nil {
		return nil, d.err
	}
	return a, a.Check(b)
}

// columnDecoder decodes columns, and keeps the first broken rule.
type columnDecoder struct{ err error }

func (d *columnDecoder) check(name string, b []byte, size int) {
	if d.err == nil && len(b)%size != 0 {
		d.err = fmt.Errorf("column %s has %d bytes, not a multiple of %d", name, len(b), size)
	}
}

func (d *columnDecoder) uint32s(name string, b []byte) []uint32 {
	d.check(name, b, 4)
	return decodeUint32s(make([]uint32, 0, len(b)/4), b)
}

func (d *columnDecoder) uint64s(name string, b []byte) []uint64 {
	d.check(name, b, 8)
	return decodeUint64s(make([]uint64, 0, len(b)/8), b)
}

func appendUint8s[T ~uint8](dst []byte, v []T) []byte {
	for _, x := range v {
		dst = append(dst, byte(x))
	}
	return dst
}

func decodeUint8s[T ~uint8](b []byte) []T {
	out := make([]T, len(b))
	for i, x := range b {
		out[i] = T(x)
	}
	return out
}

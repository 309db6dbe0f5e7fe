package adaptive

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/roostmail/roost/core/backend"
)

const gib = 1 << 30

// quiet is the load of a server with time and memory.
var quiet = backend.HibernationLoad{MemoryUsed: gib, MemoryMark: 4 * gib, Queued: 0, QueueMark: 64, Workers: 8, Warm: 100, WarmBytes: gib / 2}

// box is a mailbox in a batch.
type box struct {
	key, user uint64
	idle, gap time.Duration
	bytes     uint64
	left      bool
}

func batch(now time.Duration, l backend.HibernationLoad, boxes ...box) *backend.HibernationBatch {
	b := &backend.HibernationBatch{Now: now, Load: l}
	for i, x := range boxes {
		b.IDs = append(b.IDs, uint32(i+1))
		b.Keys = append(b.Keys, x.key)
		b.UserKeys = append(b.UserKeys, x.user)
		b.Idle = append(b.Idle, uint32(x.idle.Milliseconds()))
		b.Gaps = append(b.Gaps, uint32(x.gap.Milliseconds()))
		b.Wakes = append(b.Wakes, 0)
		b.Bytes = append(b.Bytes, x.bytes)
		state, sessions := backend.StateWarm, uint32(1)
		if x.left {
			state, sessions = backend.StateLeft, 0
		}
		b.States = append(b.States, state)
		b.Sessions = append(b.Sessions, sessions)
	}
	return b
}

func newTest(t *testing.T, given map[string]any) *policy {
	t.Helper()
	o, err := parseOptions(given)
	if err != nil {
		t.Fatal(err)
	}
	return newPolicy(o)
}

// teach lets a mailbox be used n times with a pause between, from 0 on, and returns the time of the last use.
func teach(p *policy, key, user uint64, n int, pause time.Duration) time.Duration {
	now := time.Duration(0)
	for i := range n {
		now = time.Duration(i) * pause
		gap := pause
		if i == 0 {
			gap = 0
		}
		p.decide(batch(now+5*time.Second, quiet, box{key: key, user: user, idle: 5 * time.Second, gap: gap}))
	}
	return now
}

func TestDecisions(t *testing.T) {
	const s, m = time.Second, time.Minute
	const keep, park, drop = backend.ActionKeep, backend.ActionPark, backend.ActionDrop
	for name, c := range map[string]struct {
		uses  int // of the mailbox before
		pause time.Duration
		user  bool // it was another mailbox of the user's that was used
		box   box
		want  backend.HibernationAction
		again time.Duration
	}{
		"unknown, rested":                {box: box{idle: 5 * s}, want: park},
		"unknown, asked early":           {box: box{idle: 3 * s}, want: keep, again: 2 * s},
		"unknown, about to be parked":    {box: box{idle: 4900 * time.Millisecond}, want: keep, again: s},
		"unknown, left":                  {box: box{idle: 5 * s, left: true}, want: drop},
		"one pause is not enough":        {uses: 1, pause: m, box: box{idle: 5 * s, gap: m}, want: park},
		"every minute":                   {uses: 20, pause: m, box: box{idle: 5 * s, gap: m}, want: keep, again: 55*s + m/100},
		"every minute, late":             {uses: 20, pause: m, box: box{idle: 70 * s, gap: m}, want: park},
		"every minute, left":             {uses: 20, pause: m, box: box{idle: 5 * s, gap: m, left: true}, want: keep, again: 55*s + m/100},
		"every minute, left and late":    {uses: 20, pause: m, box: box{idle: 70 * s, gap: m, left: true}, want: drop},
		"more seldom than max_warm":      {uses: 20, pause: 11 * m, box: box{idle: 5 * s, gap: 11 * m}, want: park},
		"more often than warm":           {uses: 20, pause: 2 * s, box: box{idle: 5 * s, gap: 2 * s}, want: park},
		"the user comes every minute":    {uses: 20, pause: m, user: true, box: box{idle: 5 * s}, want: keep, again: 55*s + m/100},
		"more often than it is observed": {uses: 20, pause: m, box: box{idle: 5 * s, gap: 58 * s}, want: keep, again: 55 * s},
	} {
		t.Run(name, func(t *testing.T) {
			p := newTest(t, nil)
			key, user := uint64(7), uint64(70)
			if c.user {
				key = 8
			}
			last := teach(p, key, user, c.uses, c.pause)
			c.box.key, c.box.user = 7, user
			a := p.decide(batch(last+c.pause+c.box.idle, quiet, c.box))
			again := time.Duration(a.Again[0]) * time.Millisecond
			if a.Actions[0] != c.want || again < c.again-s || again > c.again+s || again == 0 != (c.again == 0) {
				t.Errorf("action %d, again in %v, want %d, %v", a.Actions[0], again, c.want, c.again)
			}
			if a.Warm != 5*s || a.SoftBytes != 0 {
				t.Errorf("warm %v, soft bytes %d", a.Warm, a.SoftBytes)
			}
		})
	}
}

// TestIrregularUse: what is used now and then is kept for longer than what is used like clockwork.
func TestIrregularUse(t *testing.T) {
	p := newTest(t, nil)
	now := time.Duration(0)
	for i := range 40 {
		pause := 30 * time.Second
		if i%2 == 0 {
			pause = 90 * time.Second
		}
		now += pause
		p.decide(batch(now+5*time.Second, quiet, box{key: 1, idle: 5 * time.Second, gap: pause}))
	}
	r := p.history.find(1)
	if e, ok := r.expected(); !ok || e < 90*time.Second || e > 150*time.Second {
		t.Errorf("expected within %v (mean %d ms, deviation %d ms)", e, r.mean, r.dev)
	}
}

// TestBurstsAreOneUse: being asked again about the same rest teaches nothing.
func TestBurstsAreOneUse(t *testing.T) {
	p := newTest(t, nil)
	for i := range 10 {
		idle := time.Duration(5+i) * time.Second
		p.decide(batch(time.Minute+idle, quiet, box{key: 1, user: 2, idle: idle, gap: 20 * time.Second}))
	}
	if r := p.history.find(1); r.known != 1 || r.mean != 20_000 {
		t.Errorf("%+v", *r)
	}
	if u := p.history.find(userKey(2)); u.known != 1 {
		t.Errorf("%+v", *u)
	}
}

// TestPausesOfItsOwn: a core that knows no pauses leaves them to the policy.
func TestPausesOfItsOwn(t *testing.T) {
	p := newTest(t, nil)
	for i := range 5 {
		p.decide(batch(time.Duration(i)*time.Minute+5*time.Second, quiet, box{key: 1, idle: 5 * time.Second}))
	}
	if r := p.history.find(1); r.known != 4 || r.mean != 60_000 {
		t.Errorf("%+v", *r)
	}
}

func TestMemoryPressureParksTheLeastRecentlyUsed(t *testing.T) {
	p := newTest(t, nil)
	teach(p, 1, 1, 20, time.Minute) // expected, and yet
	l := quiet
	l.MemoryUsed = l.MemoryMark + 1
	l.WarmBytes = 2 * gib
	var boxes []box
	for i := range 40 {
		boxes = append(boxes, box{key: uint64(i + 1), user: uint64(i + 1), idle: time.Duration(40-i) * 100 * time.Millisecond, bytes: gib / 20})
	}
	a := p.decide(batch(20*time.Minute, l, boxes...))
	// 20 % of 4 GiB, in pieces of 1/20 GiB; the rest has not rested for the half of warm that is in force.
	for i, action := range a.Actions {
		want := backend.ActionKeep
		if i < 17 || boxes[i].idle >= 2500*time.Millisecond {
			want = backend.ActionPark
		}
		if action != want {
			t.Fatalf("mailbox %d, idle for %v: %d, want %d", i, boxes[i].idle, action, want)
		}
	}
	if a.Warm != 2500*time.Millisecond || a.SoftBytes != 2*gib-1 {
		t.Errorf("warm %v, soft bytes %d", a.Warm, a.SoftBytes)
	}
}

func TestQueuePressureParksAQuarter(t *testing.T) {
	p := newTest(t, nil)
	l := quiet
	l.Queued, l.Warm = l.QueueMark+1, 40
	var boxes []box
	for i := range 40 {
		boxes = append(boxes, box{key: uint64(i + 1), user: uint64(i + 1), idle: time.Second, bytes: 1000})
	}
	a := p.decide(batch(time.Minute, l, boxes...))
	for i, action := range a.Actions {
		if (action == backend.ActionPark) != (i <= 10) {
			t.Fatalf("mailbox %d: %d", i, action)
		}
	}
}

// TestHysteresis follows a load up and down. The time in force changes in steps, and not with every load.
func TestHysteresis(t *testing.T) {
	p := newTest(t, map[string]any{"warm": "8s", "min_warm": "1s"})
	const s = time.Second
	for _, c := range []struct {
		at    time.Duration
		load  float64 // of the mark
		warm  time.Duration
		level level
	}{
		{60 * s, 0.5, 8 * s, calm},
		{61 * s, 0.81, 4 * s, tight},
		{62 * s, 0.79, 4 * s, tight},
		{75 * s, 0.79, 4 * s, tight}, // not a tenth below
		{76 * s, 0.71, 4 * s, tight},
		{80 * s, 0.75, 4 * s, tight}, // the time begins anew
		{85 * s, 0.71, 4 * s, tight},
		{95 * s, 0.71, 8 * s, calm},
		{96 * s, 1.01, 4 * s, pressed},
		{96*s + s/2, 1.01, 4 * s, pressed}, // not more than once a second
		{97 * s, 1.01, 2 * s, pressed},
		{98 * s, 1.5, 1 * s, pressed},
		{99 * s, 1.5, 1 * s, pressed}, // min_warm
		{100 * s, 0.95, 1 * s, pressed},
		{110 * s, 0.5, 2 * s, tight},
		{111 * s, 0.5, 2 * s, tight},
		{121 * s, 0.5, 4 * s, calm},
		{131 * s, 0.5, 8 * s, calm},
		{141 * s, 0.5, 8 * s, calm},
	} {
		l := quiet
		l.MemoryUsed = uint64(c.load * float64(l.MemoryMark))
		a := p.decide(batch(c.at, l, box{key: 1}))
		if a.Warm != c.warm || p.pressure.level != c.level {
			t.Errorf("at %v, load %v: warm %v, level %d, want %v, %d", c.at, c.load, a.Warm, p.pressure.level, c.warm, c.level)
		}
	}
}

// TestSoftBytesLeaveRoomUntilTheMark: while it is tight, what grows between two answers stays below the mark.
func TestSoftBytesLeaveRoomUntilTheMark(t *testing.T) {
	p := newTest(t, nil)
	l := quiet
	l.MemoryUsed = 3*gib + gib/2
	if a := p.decide(batch(time.Minute, l, box{key: 1})); a.SoftBytes != gib {
		t.Errorf("soft bytes %d", a.SoftBytes)
	}
	l.MemoryUsed, l.WarmBytes = 6*gib, gib
	if a := p.decide(batch(time.Minute, l, box{key: 1})); a.SoftBytes != 1 {
		t.Errorf("soft bytes %d, but 0 is no bound", a.SoftBytes)
	}
	l.MemoryMark = 0
	if a := newTest(t, nil).decide(batch(time.Minute, l, box{key: 1})); a.SoftBytes != 0 {
		t.Errorf("soft bytes %d without a mark", a.SoftBytes)
	}
}

// TestHistoryIsBounded: many more mailboxes than fit, and those seen last are remembered.
func TestHistoryIsBounded(t *testing.T) {
	h := newHistory(1000)
	for i := range 100_000 {
		r, _ := h.make(uint64(i))
		r.used = int64(i)
	}
	if len(h.records) != 1000 {
		t.Fatalf("%d records", len(h.records))
	}
	found := 0
	for i := 99_500; i < 100_000; i++ {
		if r := h.find(uint64(i)); r != nil && r.used == int64(i) {
			found++
		}
	}
	if found < 450 {
		t.Errorf("of the last 500 only %d are remembered", found)
	}
	none := newHistory(0)
	if r, _ := none.make(5); r != nil || none.find(5) != nil {
		t.Error("a history of nothing remembers")
	}
	if a := newTest(t, map[string]any{"history": int64(0)}).decide(batch(time.Minute, quiet, box{key: 1, idle: 5 * time.Second})); a.Actions[0] != backend.ActionPark {
		t.Errorf("action %d", a.Actions[0])
	}
}

// TestSameBatchesSameAnswers: there is no clock, chance or order of a map in it.
func TestSameBatchesSameAnswers(t *testing.T) {
	p, q := newTest(t, nil), newTest(t, nil)
	random := rand.New(rand.NewPCG(1, 2))
	now := time.Duration(0)
	for range 300 {
		now += time.Duration(random.IntN(2000)) * time.Millisecond
		l := quiet
		l.MemoryUsed, l.Queued = random.Uint64N(5*gib), random.Uint32N(80)
		var boxes []box
		for range 1 + random.IntN(50) {
			boxes = append(boxes, box{key: random.Uint64N(40), user: random.Uint64N(10), idle: time.Duration(random.IntN(100)) * time.Second,
				gap: time.Duration(random.IntN(100)) * time.Second, bytes: random.Uint64N(gib / 20), left: random.IntN(2) == 0})
		}
		b := batch(now, l, boxes...)
		first, second := p.decide(b), q.decide(b)
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("%+v, %+v", first, second)
		}
		if err := first.Check(b); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	p := newPolicy(defaults)
	var boxes []box
	for i := range 4096 {
		boxes = append(boxes, box{key: uint64(i), user: uint64(i / 3), idle: 5 * time.Second, gap: time.Minute, bytes: 20_000})
	}
	question := batch(0, quiet, boxes...)
	for b.Loop() {
		question.Now += time.Second
		p.decide(question)
	}
}

package plugintest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// StateFixture describes a state plugin.
type StateFixture struct {
	// New makes the plugin; or Command is the program that is it, with its arguments. It must have room for 16 MiB. What others have in the same
	// store is left alone: the cases use namespaces of their own, whose names begin with "plugintest-".
	New     func() backend.Plugin
	Command []string
	Config  backend.Config
}

func (f StateFixture) subject() subject { return subject{backend.KindState, f.New, f.Command} }

// State runs the conformance suite of state plugins.
func State[S goTest[S]](test S, f StateFixture) {
	t := wrap(test)
	p := f.subject()
	p.testLife(t, always(f.Config))
	p.testWire(t, f.Config)
	p.onEachConnection(t, always(f.Config), func(t T, c *connection) {
		s := &stateSuite{connection: c}
		testBase(t, backend.KindState, c)
		for _, tt := range []struct {
			name string
			run  func(T)
		}{
			{"UnknownNamespace", s.unknown}, {"PutAndGet", s.putAndGet}, {"AnyBytes", s.anyBytes}, {"NamespacesAreApart", s.apart},
			{"IfVersion", s.ifVersion}, {"IfAbsent", s.ifAbsent}, {"Delete", s.delete}, {"VersionsNeverRepeat", s.versions},
			{"Expires", s.expires}, {"TTLIsReplaced", s.ttlReplaced}, {"LongestTTL", s.longestTTL},
			{"LargestBatch", s.largestBatch}, {"LargestValues", s.largestValues}, {"WrongRequests", s.wrong},
			{"List", s.list}, {"ListPages", s.pages}, {"ListWhileWriting", s.listWhileWriting},
			{"RaceToIncrement", s.raceToIncrement}, {"RaceToCreate", s.raceToCreate}, {"RaceToDelete", s.raceToDelete},
			{"Cancelled", s.cancelled},
		} {
			t.Run(tt.name, func(t T) {
				s.begin(t)
				tt.run(t)
			})
		}
		if c.plugin.Info().Has(backend.CapWatch) {
			for name, run := range map[string]func(T){"WatchOrder": s.watchOrder, "WatchExpiry": s.watchExpiry, "WatchSlowly": s.watchSlowly,
				"WatchMany": s.watchMany, "WatchKilled": s.watchKilled} {
				t.Run(name, func(t T) {
					s.begin(t)
					run(t)
				})
			}
		} else {
			lacks(t, "Watch", backend.CapWatch)
			t.Run("WatchRefused", func(t T) {
				err := c.plugin.(backend.StateWatcher).Watch(t.Context(), backend.StateWatch{Namespace: "plugintest-x"}, func(*backend.StateNews) error { return nil })
				wantKind(t, "Watch", err, backend.KindUnsupported)
			})
		}
		t.Run("Restart", func(t T) { s.begin(t); s.restarted(t) })
		t.Run("KilledInMidCall", func(t T) { s.begin(t); s.killed(t) })
		t.Run("Speed", func(t T) { s.begin(t); s.speed(t) })
	})
}

type stateSuite struct {
	*connection
	ns string // of the case
}

// begin gives a case a namespace, whose keys are removed after it.
func (s *stateSuite) begin(t T) {
	s.ns = "plugintest-" + rand.Text()
	ns := s.ns
	t.Cleanup(func() {
		for _, e := range s.listAll(t, ns, "", backend.MaxStateBatch) {
			_, _ = s.state().Delete(context.Background(), backend.StateDelete{Namespace: ns, Key: e.Key})
		}
	})
}

func (s *stateSuite) try(t T, p backend.StatePut) backend.StateResult {
	t.Helper()
	p.Namespace = s.ns
	r, err := s.state().Put(t.Context(), p)
	if err != nil {
		t.Fatalf("Put: %v", err)
	}
	return r
}

// put writes without a condition, and returns the version.
func (s *stateSuite) put(t T, key, data string) uint64 {
	t.Helper()
	r := s.try(t, backend.StatePut{Key: key, Data: []byte(data)})
	if !r.Done {
		t.Fatalf("Put without a condition was not done")
	}
	return r.Version
}

func (s *stateSuite) remove(t T, key string, version uint64) backend.StateResult {
	t.Helper()
	r, err := s.state().Delete(t.Context(), backend.StateDelete{Namespace: s.ns, Key: key, IfVersion: version})
	if err != nil {
		t.Fatalf("Delete: %v", err)
	}
	return r
}

func (s *stateSuite) get(t T, keys ...string) []backend.StateValue {
	t.Helper()
	vs, err := s.state().Get(t.Context(), s.ns, keys)
	if err != nil || len(vs) != len(keys) {
		t.Fatalf("Get: %d values for %d keys, %v", len(vs), len(keys), err)
	}
	return vs
}

func (s *stateSuite) want(t T, key string, version uint64, data string) {
	t.Helper()
	if v := s.get(t, key)[0]; v.Version != version || string(v.Data) != data {
		t.Errorf("%q has version %d and %q, want version %d and %q", key, v.Version, v.Data, version, data)
	}
}

// listAll reads all pages of a limit. Its context is not the test's, so that cleanup can call it.
func (s *stateSuite) listAll(t T, namespace, prefix string, limit int) (all []backend.StateEntry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for after := ""; ; {
		p, err := s.state().List(ctx, backend.StateList{Namespace: namespace, Prefix: prefix, After: after, Limit: limit})
		if err != nil {
			t.Errorf("List: %v", err)
			return nil
		}
		all = append(all, p.Entries...)
		if !p.More {
			return all
		}
		after = p.Entries[len(p.Entries)-1].Key
	}
}

func (s *stateSuite) unknown(t T) {
	s.want(t, "key", 0, "")
	if r := s.remove(t, "key", 0); !r.Done || r.Version != 0 {
		t.Errorf("Delete: %+v, want done, and no version", r)
	}
	if all := s.listAll(t, s.ns, "", 10); len(all) > 0 {
		t.Errorf("List: %v", all)
	}
}

func (s *stateSuite) putAndGet(t T) {
	a, b := s.put(t, "a", "1"), s.put(t, "b", "")
	vs := s.get(t, "b", "missing", "a", "b")
	for i, want := range []backend.StateValue{{Version: b}, {}, {Version: a, Data: []byte("1")}, {Version: b}} {
		if vs[i].Version != want.Version || !bytes.Equal(vs[i].Data, want.Data) || vs[i].TTL != 0 {
			t.Errorf("value %d is %+v, want %+v", i, vs[i], want)
		}
	}
	if second := s.put(t, "a", "2"); second <= a {
		t.Errorf("version %d came after %d", second, a)
	} else {
		s.want(t, "a", second, "2")
	}
}

func (s *stateSuite) anyBytes(t T) {
	for _, key := range []string{"\x00", "\xff\xfe", "a\x00b", "jürgen/INBOX", strings.Repeat("k", backend.MaxStateKey)} {
		s.want(t, key, s.put(t, key, "v\x00\xff"+key), "v\x00\xff"+key)
	}
}

func (s *stateSuite) apart(t T) {
	first, v := s.ns, s.put(t, "key", "first")
	s.begin(t)
	s.want(t, "key", 0, "")
	s.put(t, "key", "second")
	s.remove(t, "key", 0)
	s.ns = first
	s.want(t, "key", v, "first")
}

func (s *stateSuite) ifVersion(t T) {
	v := s.put(t, "key", "1")
	if r := s.try(t, backend.StatePut{Key: "key", Data: []byte("x"), IfVersion: v + 1}); r.Done || r.Version != v {
		t.Errorf("with a version that is not there: %+v, want version %d", r, v)
	}
	s.want(t, "key", v, "1")
	r := s.try(t, backend.StatePut{Key: "key", Data: []byte("2"), IfVersion: v})
	if !r.Done {
		t.Fatalf("with the version that is there: not done")
	}
	s.want(t, "key", r.Version, "2")
	if r := s.try(t, backend.StatePut{Key: "missing", IfVersion: v}); r.Done || r.Version != 0 {
		t.Errorf("of a key that does not exist: %+v", r)
	}
	s.want(t, "missing", 0, "")
}

func (s *stateSuite) ifAbsent(t T) {
	r := s.try(t, backend.StatePut{Key: "key", Data: []byte("1"), IfAbsent: true})
	if !r.Done {
		t.Fatalf("of a key that does not exist: not done")
	}
	if again := s.try(t, backend.StatePut{Key: "key", Data: []byte("2"), IfAbsent: true}); again.Done || again.Version != r.Version {
		t.Errorf("of a key that exists: %+v, want version %d", again, r.Version)
	}
	s.want(t, "key", r.Version, "1")
}

func (s *stateSuite) delete(t T) {
	v := s.put(t, "key", "1")
	if r := s.remove(t, "key", v+1); r.Done || r.Version != v {
		t.Errorf("with a version that is not there: %+v, want version %d", r, v)
	}
	s.want(t, "key", v, "1")
	if r := s.remove(t, "key", v); !r.Done || r.Version != v {
		t.Errorf("with the version that is there: %+v, want version %d", r, v)
	}
	s.want(t, "key", 0, "")
	if r := s.remove(t, "key", v); r.Done || r.Version != 0 {
		t.Errorf("with the version that was there: %+v", r)
	}
}

func (s *stateSuite) versions(t T) {
	last := uint64(0)
	for i := range 20 {
		v := s.put(t, "key", "same")
		if v <= last {
			t.Fatalf("version %d came after %d", v, last)
		}
		if last = v; i%2 == 0 {
			s.remove(t, "key", 0)
		}
	}
	r := s.try(t, backend.StatePut{Key: "key", TTL: time.Millisecond})
	s.waitGone(t, "key")
	if v := s.put(t, "key", ""); v <= r.Version {
		t.Errorf("version %d came after %d, which had expired", v, r.Version)
	}
}

// waitGone asks until a key does not exist any more.
func (s *stateSuite) waitGone(t T, key string) {
	t.Helper()
	for begun := time.Now(); s.get(t, key)[0].Version != 0; {
		if time.Since(begun) > patience {
			t.Fatalf("%q exists %v after its ttl", key, patience)
		}
	}
}

func (s *stateSuite) expires(t T) {
	s.put(t, "stays", "1")
	s.try(t, backend.StatePut{Key: "key", Data: []byte("1"), TTL: time.Millisecond})
	s.waitGone(t, "key")
	for _, e := range s.listAll(t, s.ns, "", 10) {
		if e.Key != "stays" {
			t.Errorf("%q is listed", e.Key)
		}
	}
	if r := s.try(t, backend.StatePut{Key: "key", IfAbsent: true}); !r.Done {
		t.Errorf("what has expired is not absent: %+v", r)
	}
	if s.get(t, "stays")[0].Version == 0 {
		t.Errorf("a key without ttl has expired")
	}
}

// ttlReplaced: what is written without a ttl stays, whatever it had before; and the other way round.
func (s *stateSuite) ttlReplaced(t T) {
	s.try(t, backend.StatePut{Key: "key", TTL: time.Hour})
	if v := s.get(t, "key")[0]; v.TTL <= time.Hour-patience || v.TTL > time.Hour {
		t.Errorf("its ttl is %v, not an hour", v.TTL)
	}
	v := s.put(t, "key", "1")
	if got := s.get(t, "key")[0]; got.TTL != 0 {
		t.Errorf("its ttl is %v, after it was written without", got.TTL)
	}
	s.try(t, backend.StatePut{Key: "key", TTL: time.Millisecond, IfVersion: v})
	s.waitGone(t, "key")
}

func (s *stateSuite) longestTTL(t T) {
	s.try(t, backend.StatePut{Key: "key", TTL: backend.MaxStateTTL})
	if v := s.get(t, "key")[0]; v.TTL < backend.MaxStateTTL-time.Hour || v.TTL > backend.MaxStateTTL {
		t.Errorf("its ttl is %v, not %v", v.TTL, backend.MaxStateTTL)
	}
}

func (s *stateSuite) largestBatch(t T) {
	keys := make([]string, backend.MaxStateBatch)
	for i := range keys {
		keys[i] = fmt.Sprintf("%0*d", backend.MaxStateKey, i)
	}
	last := keys[len(keys)-1]
	v := s.put(t, last, "x")
	for i, got := range s.get(t, keys...) {
		if exists := got.Version != 0; exists != (i == len(keys)-1) || exists && got.Version != v {
			t.Errorf("key %d has version %d", i, got.Version)
		}
	}
}

// largestValues: more than one answer holds.
func (s *stateSuite) largestValues(t T) {
	data, keys := strings.Repeat("v", backend.MaxStateValue-2), []string{}
	for i := range 80 {
		key := fmt.Sprintf("%02d", i)
		keys = append(keys, key)
		s.put(t, key, data+key)
	}
	for i, v := range s.get(t, keys...) {
		if string(v.Data) != data+keys[i] {
			t.Errorf("value %d has %d bytes, or is another one", i, len(v.Data))
		}
	}
	all := s.listAll(t, s.ns, "", backend.MaxStateBatch)
	if len(all) != len(keys) {
		t.Fatalf("%d keys are listed, not %d", len(all), len(keys))
	}
	for i, e := range all {
		if e.Key != keys[i] || string(e.Data) != data+keys[i] {
			t.Errorf("entry %d is %q with %d bytes, or with other ones", i, e.Key, len(e.Data))
		}
	}
}

func (s *stateSuite) wrong(t T) {
	for name, p := range map[string]backend.StatePut{
		"no namespace":            {Key: "k"},
		"a long namespace":        {Namespace: strings.Repeat("n", backend.MaxStateNamespace+1), Key: "k"},
		"a zero in it":            {Namespace: "a\x00b", Key: "k"},
		"no UTF-8":                {Namespace: "\xff", Key: "k"},
		"no key":                  {Namespace: s.ns},
		"a long key":              {Namespace: s.ns, Key: strings.Repeat("k", backend.MaxStateKey+1)},
		"a long value":            {Namespace: s.ns, Key: "k", Data: make([]byte, backend.MaxStateValue+1)},
		"a long ttl":              {Namespace: s.ns, Key: "k", TTL: backend.MaxStateTTL + time.Millisecond},
		"a negative ttl":          {Namespace: s.ns, Key: "k", TTL: -1},
		"both of version, absent": {Namespace: s.ns, Key: "k", IfVersion: 1, IfAbsent: true},
	} {
		_, err := s.state().Put(t.Context(), p)
		wantKind(t, "Put with "+name, err, backend.KindInvalidArgument)
	}
	_, err := s.state().Get(t.Context(), s.ns, nil)
	wantKind(t, "Get without keys", err, backend.KindInvalidArgument)
	_, err = s.state().Get(t.Context(), s.ns, make([]string, backend.MaxStateBatch+1))
	wantKind(t, "Get with many keys", err, backend.KindInvalidArgument)
	_, err = s.state().Delete(t.Context(), backend.StateDelete{Namespace: s.ns})
	wantKind(t, "Delete without key", err, backend.KindInvalidArgument)
	for _, limit := range []int{-1, 0, backend.MaxStateBatch + 1} {
		_, err = s.state().List(t.Context(), backend.StateList{Namespace: s.ns, Limit: limit})
		wantKind(t, fmt.Sprint("List with limit ", limit), err, backend.KindInvalidArgument)
	}
	if all := s.listAll(t, s.ns, "", 10); len(all) > 0 {
		t.Errorf("something was written: %v", all)
	}
}

func (s *stateSuite) list(t T) {
	for _, key := range []string{"b", "a\xff", "a", "a\x00", "ab", "\xff", "\x00"} { // in no order
		s.put(t, key, "value of "+key)
	}
	for prefix, want := range map[string]string{
		"": `["\x00" "a" "a\x00" "ab" "a\xff" "b" "\xff"]`, "a": `["a" "a\x00" "ab" "a\xff"]`, "\xff": `["\xff"]`, "abc": `[]`,
	} {
		for _, limit := range []int{1, 2, 1000} {
			keys := []string{}
			for _, e := range s.listAll(t, s.ns, prefix, limit) {
				if keys = append(keys, e.Key); string(e.Data) != "value of "+e.Key {
					t.Errorf("%q has the value %q", e.Key, e.Data)
				}
			}
			if got := fmt.Sprintf("%q", keys); got != want {
				t.Errorf("prefix %q, limit %d: %s, want %s", prefix, limit, got, want)
			}
		}
	}
}

func (s *stateSuite) pages(t T) {
	for i := range 300 {
		s.put(t, fmt.Sprintf("%03d", i*7%300), "")
	}
	for _, limit := range []int{7, 100, 299, 300, 301} {
		all := s.listAll(t, s.ns, "", limit)
		for i, e := range all {
			if e.Key != fmt.Sprintf("%03d", i) {
				t.Fatalf("limit %d: entry %d is %q", limit, i, e.Key)
			}
		}
		if len(all) != 300 {
			t.Errorf("limit %d: %d entries", limit, len(all))
		}
	}
	p, err := s.state().List(t.Context(), backend.StateList{Namespace: s.ns, After: "2985", Limit: 10}) // after a key that does not exist
	if err != nil || p.More || len(p.Entries) != 1 || p.Entries[0].Key != "299" {
		t.Errorf("List after a key that does not exist: %+v, %v", p, err)
	}
}

// listWhileWriting: what does not change meanwhile is always listed.
func (s *stateSuite) listWhileWriting(t T) {
	for i := range 50 {
		s.put(t, fmt.Sprintf("%03d", 2*i), "")
	}
	var writer sync.WaitGroup
	stop := make(chan struct{})
	writer.Go(func() {
		for i := 0; ; i++ {
			key := fmt.Sprintf("%03d", 2*(i%50)+1)
			if _, err := s.state().Put(t.Context(), backend.StatePut{Namespace: s.ns, Key: key}); err != nil {
				t.Errorf("Put: %v", err)
			}
			if _, err := s.state().Delete(t.Context(), backend.StateDelete{Namespace: s.ns, Key: key}); err != nil {
				t.Errorf("Delete: %v", err)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for range 20 {
		even := 0
		for _, e := range s.listAll(t, s.ns, "", 9) {
			if (e.Key[2]-'0')%2 == 0 {
				even++
			}
		}
		if even != 50 {
			t.Errorf("%d of 50 keys are listed", even)
		}
	}
	close(stop)
	writer.Wait()
}

// raceToIncrement: no increment is lost.
func (s *stateSuite) raceToIncrement(t T) {
	const workers, each = 16, 20
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for done := 0; done < each; {
				vs, err := s.state().Get(t.Context(), s.ns, []string{"n"})
				if err != nil {
					t.Errorf("Get: %v", err)
					return
				}
				var n uint64
				if vs[0].Version != 0 {
					n = binary.BigEndian.Uint64(vs[0].Data)
				}
				r, err := s.state().Put(t.Context(), backend.StatePut{Namespace: s.ns, Key: "n", Data: binary.BigEndian.AppendUint64(nil, n+1),
					IfVersion: vs[0].Version, IfAbsent: vs[0].Version == 0})
				if err != nil {
					t.Errorf("Put: %v", err)
					return
				}
				if r.Done {
					done++
				}
			}
		})
	}
	wg.Wait()
	if v := s.get(t, "n")[0]; v.Version == 0 || binary.BigEndian.Uint64(v.Data) != workers*each {
		t.Errorf("%x after %d increments", v.Data, workers*each)
	}
}

// raceToCreate: of those who create a key one does, and all others are told its version.
func (s *stateSuite) raceToCreate(t T) {
	for round := range 10 {
		results := make([]backend.StateResult, 16)
		var wg sync.WaitGroup
		for i := range results {
			wg.Go(func() {
				var err error
				if results[i], err = s.state().Put(t.Context(), backend.StatePut{Namespace: s.ns, Key: fmt.Sprint(round), IfAbsent: true}); err != nil {
					t.Errorf("Put: %v", err)
				}
			})
		}
		wg.Wait()
		done := 0
		for _, r := range results {
			if r.Done {
				done++
			}
			if r.Version != results[0].Version {
				t.Errorf("versions %d and %d", r.Version, results[0].Version)
			}
		}
		if done != 1 {
			t.Errorf("%d of %d have created it", done, len(results))
		}
	}
}

// raceToDelete: of those who remove a version one does.
func (s *stateSuite) raceToDelete(t T) {
	for range 10 {
		v := s.put(t, "key", "")
		var done atomic.Int32
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				r, err := s.state().Delete(t.Context(), backend.StateDelete{Namespace: s.ns, Key: "key", IfVersion: v})
				if err != nil {
					t.Errorf("Delete: %v", err)
				}
				if r.Done {
					done.Add(1)
				}
			})
		}
		wg.Wait()
		if done.Load() != 1 {
			t.Errorf("%d of 16 have removed it", done.Load())
		}
	}
}

func (s *stateSuite) cancelled(t T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.state().Put(ctx, backend.StatePut{Namespace: s.ns, Key: "key"})
	wantKind(t, "Put", err, backend.KindCancelled)
	_, err = s.state().Get(ctx, s.ns, []string{"key"})
	wantKind(t, "Get", err, backend.KindCancelled)
	s.put(t, "key", "")
}

// errEnough ends a watch.
var errEnough = errors.New("enough")

// follower keeps what a caller of Watch knows, by the rule of the protocol: at lost it reads everything.
type follower struct {
	s        *stateSuite
	t        T
	ns       string
	versions map[string]uint64
	lost     int
}

func (f *follower) tell(n *backend.StateNews) {
	if n.Lost {
		f.lost++
		f.versions = map[string]uint64{}
		for _, e := range f.s.listAll(f.t, f.ns, "", backend.MaxStateBatch) {
			f.versions[e.Key] = e.Version
		}
	}
	for _, c := range n.Changes {
		if f.versions[c.Key] = c.Version; c.Version == 0 {
			delete(f.versions, c.Key)
		}
	}
}

// follow watches until a key has a version; ready is called after the first news.
func (s *stateSuite) follow(t T, prefix, last string, ready func(), each func(*backend.StateNews)) error {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	first := true
	return s.plugin.(backend.StateWatcher).Watch(ctx, backend.StateWatch{Namespace: s.ns, Prefix: prefix}, func(n *backend.StateNews) error {
		if each(n); first {
			first = false
			ready()
		}
		for _, c := range n.Changes {
			if c.Key == last {
				return errEnough
			}
		}
		return nil
	})
}

func (s *stateSuite) watchOrder(t T) {
	var writer sync.WaitGroup
	var want, got []backend.StateChange
	s.put(t, "a/before", "")
	err := s.follow(t, "a/", "a/last", func() {
		writer.Go(func() {
			for i := range 50 {
				key := fmt.Sprint("a/", i%5)
				want = append(want, backend.StateChange{Key: key, Version: s.put(t, key, "")})
				s.put(t, "b/other", "")
				if i%10 == 9 {
					s.remove(t, key, 0)
					s.remove(t, key, 0) // nothing happens
					want = append(want, backend.StateChange{Key: key})
				}
			}
			want = append(want, backend.StateChange{Key: "a/last", Version: s.put(t, "a/last", "")})
		})
	}, func(n *backend.StateNews) { got = append(got, n.Changes...) })
	writer.Wait()
	if err != errEnough {
		t.Fatalf("Watch: %v", err)
	}
	// A plugin may leave out what was replaced; the rest is in order.
	final := map[string]uint64{}
	for _, c := range got {
		for len(want) > 0 && want[0] != c {
			want = want[1:]
		}
		if len(want) == 0 {
			t.Fatalf("%q, version %d, is told out of order, or did not happen", c.Key, c.Version)
		}
		want = want[1:]
		final[c.Key] = c.Version
	}
	for _, e := range s.listAll(t, s.ns, "a/", 100) {
		if e.Key != "a/before" && final[e.Key] != e.Version {
			t.Errorf("%q has version %d, told was %d", e.Key, e.Version, final[e.Key])
		}
	}
}

func (s *stateSuite) watchExpiry(t T) {
	var told []uint64
	var version uint64
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := s.plugin.(backend.StateWatcher).Watch(ctx, backend.StateWatch{Namespace: s.ns}, func(n *backend.StateNews) error {
		if n.Lost {
			version = s.try(t, backend.StatePut{Key: "key", TTL: time.Millisecond}).Version
		}
		for _, c := range n.Changes {
			if told = append(told, c.Version); c.Version == 0 {
				return errEnough
			}
		}
		return nil
	})
	if err != errEnough {
		t.Fatalf("Watch, nobody asks for the key meanwhile: %v", err)
	}
	if len(told) > 2 || len(told) == 2 && told[0] != version {
		t.Errorf("told versions are %v, want %d and 0", told, version)
	}
}

// watchSlowly: who takes nothing for a while holds nobody up, and knows the state in the end.
func (s *stateSuite) watchSlowly(t T) {
	f := &follower{s: s, t: t, ns: s.ns}
	err := s.follow(t, "", "last", func() {
		for i := range 4000 {
			s.put(t, fmt.Sprint(i%700), "")
		}
		s.remove(t, "3", 0)
		s.put(t, "last", "")
	}, f.tell)
	if err != errEnough {
		t.Fatalf("Watch: %v", err)
	}
	want := map[string]uint64{}
	for _, e := range s.listAll(t, s.ns, "", backend.MaxStateBatch) {
		want[e.Key] = e.Version
	}
	if !maps.Equal(f.versions, want) {
		t.Errorf("the watch knows of %d keys, or not of their versions; there are %d", len(f.versions), len(want))
	}
	t.Logf("changes were lost %d times", f.lost-1)
}

// watchMany: each of many watches is told.
func (s *stateSuite) watchMany(t T) {
	const n = 20
	var ready, all sync.WaitGroup
	ready.Add(n)
	for range n {
		all.Go(func() {
			told := sync.OnceFunc(ready.Done)
			defer told()
			if err := s.follow(t, "k", "key", told, func(*backend.StateNews) {}); err != errEnough {
				t.Errorf("Watch: %v", err)
			}
		})
	}
	ready.Wait()
	s.put(t, "key", "")
	all.Wait()
}

// watchKilled: the end of the process ends the watch.
func (s *stateSuite) watchKilled(t T) {
	if !s.process {
		t.Skip("nobody supervises the plugin here")
	}
	err := s.follow(t, "", "key", func() { s.restart(t) }, func(*backend.StateNews) {})
	wantKind(t, "Watch", err, backend.KindUnavailable)
	s.unknown(t)
}

// restarted: what was in the store may be lost, but no version comes back.
func (s *stateSuite) restarted(t T) {
	before := s.put(t, "key", "")
	s.restart(t)
	if v := s.get(t, "key")[0].Version; v != 0 && v != before {
		t.Errorf("version %d has become %d", before, v)
	}
	if v := s.put(t, "key", ""); v <= before {
		t.Errorf("version %d came after %d", v, before)
	}
}

// killed kills the plugin while calls are under way: each has an answer or an error that says so, and the next one is answered.
func (s *stateSuite) killed(t T) {
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 20 {
				_, err := s.state().Put(t.Context(), backend.StatePut{Namespace: s.ns, Key: fmt.Sprint(i)})
				if err != nil && !(s.process && backend.KindOf(err) == backend.KindUnavailable) {
					t.Errorf("Put: %v", err)
				}
			}
		})
	}
	if s.process {
		s.restart(t)
	}
	wg.Wait()
	s.get(t, "0") // a read is repeated
	s.put(t, "last", "")
}

func (s *stateSuite) speed(t T) {
	s.put(t, "key", "value")
	mark(t, "get one key", 1, func(ctx context.Context) error {
		_, err := s.state().Get(ctx, s.ns, []string{"key"})
		return err
	})
	mark(t, "put", 1, func(ctx context.Context) error {
		_, err := s.state().Put(ctx, backend.StatePut{Namespace: s.ns, Key: "key", Data: []byte("value")})
		return err
	})
}

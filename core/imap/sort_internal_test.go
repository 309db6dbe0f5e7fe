package imap

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
)

// sort runs "criteria SP charset SP program" as SORT does.
func (ft *fetchTest) sort(t testing.TB, args string) (string, error) {
	t.Helper()
	d := imapwire.NewDecoder([]byte(" "+args+"\r\n"), imapwire.DefaultLimits)
	d.SP()
	criteria := parseSortCriteria(&d)
	s := ft.find(t, &d)
	if err := s.sort(criteria, ""); err != nil {
		return "", err
	}
	out := &buffer{}
	s.answer(out, "SORT", false)
	return strings.TrimSuffix(strings.TrimPrefix(string(out.all), "* SORT"), "\r\n"), nil
}

// find reads "SP charset SP program", and searches.
func (ft *fetchTest) find(t testing.TB, d *imapwire.Decoder) *search {
	t.Helper()
	d.SP()
	p := searchParser{d: d, view: ft.view, saved: noneSaved}
	key, err := p.parse(d.AString())
	if err != nil {
		t.Fatal(err)
	}
	s := ft.srv.newSearch(context.Background(), ft.view, ft.ref, key)
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
	return s
}

// thread runs an algorithm over all messages.
func (ft *fetchTest) thread(t testing.TB, algorithm string) (string, error) {
	t.Helper()
	d := imapwire.NewDecoder([]byte(" UTF-8 ALL\r\n"), imapwire.DefaultLimits)
	th := &thread{search: ft.find(t, &d)}
	for m := range th.matches() {
		th.messages = append(th.messages, threadMessage{Message: m})
	}
	if err := threadAlgorithms[algorithm](th); err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimPrefix(string(th.answer(nil)), "* THREAD"), "\r\n"), nil
}

// TestSortReadsNoMoreThanItNeeds: one call for all keys, header fields and no bodies, and one for messages without date.
func TestSortReadsNoMoreThanItNeeds(t *testing.T) {
	ft := newFetchTest(t, searchMails)
	for _, tc := range []struct {
		args, answer string
		want         []string
	}{
		{"(ARRIVAL) UTF-8 ALL", " 1 2 3 4 5 6", []string{"2 [] [1 2 3 4 5 6]"}},
		{"(SUBJECT REVERSE SIZE FROM) UTF-8 2:3", " 3 2", []string{"1 [SUBJECT FROM] [2 3]"}},
		{"(DATE) UTF-8 1:3", " 3 2 1", []string{"0 [DATE] [1 2 3]", "2 [] [3]"}},
		{"(FROM DISPLAYFROM) UTF-8 SEEN UNSEEN", "", nil},
	} {
		ft.store.calls = nil
		got, err := ft.sort(t, tc.args)
		if err != nil || got != tc.answer {
			t.Errorf("%s: %q, %v; want %q", tc.args, got, err, tc.answer)
		}
		var calls []string
		for _, c := range ft.store.calls {
			calls = append(calls, fmt.Sprint(int(c.Items), " ", c.HeaderFields, " ", c.UIDs))
		}
		if !slices.Equal(calls, tc.want) {
			t.Errorf("%s: calls %q, want %q", tc.args, calls, tc.want)
		}
	}
	for algorithm, want := range map[string]string{"ORDEREDSUBJECT": "[DATE SUBJECT]", "REFS": "[DATE MESSAGE-ID REFERENCES IN-REPLY-TO]", "REFERENCES": "[DATE SUBJECT MESSAGE-ID REFERENCES IN-REPLY-TO]"} {
		ft.store.calls = nil
		if _, err := ft.thread(t, algorithm); err != nil {
			t.Error(err)
		}
		if n := len(ft.store.calls); n != 2 || fmt.Sprint(ft.store.calls[0].HeaderFields) != want || ft.store.calls[0].Items != 0 {
			t.Errorf("%s: calls %v, want %s", algorithm, ft.store.calls, want)
		}
	}
}

// TestSortGoesOnWhenStorageComesBack: what was read is not read again.
func TestSortGoesOnWhenStorageComesBack(t *testing.T) {
	ft := newFetchTest(t, searchMails)
	ft.store.err = backend.Errorf(backend.KindUnavailable, "down")
	want, _ := ft.sort(t, "(SUBJECT SIZE) UTF-8 ALL")
	for i := range 7 {
		ft.store.downs, ft.store.calls = []int{i}, nil
		got, err := ft.sort(t, "(SUBJECT SIZE) UTF-8 ALL")
		if err != nil || got != want {
			t.Errorf("down after %d: %q, %v; want %q", i, got, err, want)
		}
		if n := len(ft.store.calls); i < 6 && (n != 2 || len(ft.store.calls[1].UIDs) != 6-i) {
			t.Errorf("down after %d: calls %v", i, ft.store.calls)
		}
	}
	ft.store.downs = []int{0, 0, 0, 0, 0, 0, 0, 0}
	if _, err := ft.sort(t, "(SUBJECT) UTF-8 ALL"); backend.KindOf(err) != backend.KindUnavailable {
		t.Error(err)
	}
}

// TestOrderOfKeys compares the columns with a plain sort.
func TestOrderOfKeys(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	words := []string{"", "a", "A", "aaaaaaaa", "aaaaaaaab", "aaaaaaaa\x00", "b", "\u00e4", "zzzzzzzzzzzz"}
	for range 300 {
		n := rnd.Intn(40)
		var mails []string
		type row struct {
			seq  int
			keys [3]string
		}
		var rows []row
		for i := range n {
			a, b, c := words[rnd.Intn(len(words))], words[rnd.Intn(len(words))], fmt.Sprintf("%d Jan 2024 00:00:00 +0000", 1+rnd.Intn(3))
			mails = append(mails, fmt.Sprintf("Subject: %s\r\nFrom: \"%s\" <x@y>\r\nDate: %s\r\n\r\n", a, b, c))
			rows = append(rows, row{i + 1, [3]string{a, b, c}})
		}
		ft := newFetchTest(t, mails)
		got, err := ft.sort(t, "(SUBJECT DISPLAYFROM REVERSE DATE) UTF-8 ALL")
		if err != nil {
			t.Fatal(err)
		}
		k := newSortKeys(0, []sortCriterion{{sortField: sortFields["SUBJECT"]}, {sortField: sortFields["DISPLAYFROM"]}}, n)
		for i, mail := range mails {
			k.add(i, &backend.FetchedMessage{HeaderFields: []byte(mail)})
		}
		slices.SortStableFunc(rows, func(a, b row) int {
			x, y := a.seq-1, b.seq-1
			return cmp.Or(bytes.Compare(k.columns[0].textOf(x), k.columns[0].textOf(y)), bytes.Compare(k.columns[1].textOf(x), k.columns[1].textOf(y)),
				-strings.Compare(a.keys[2], b.keys[2]))
		})
		want := ""
		for _, r := range rows {
			want += fmt.Sprint(" ", r.seq)
		}
		if got != want {
			t.Fatalf("%q:\n%s, want\n%s", mails, got, want)
		}
	}
}

// TestThreadsOfAnyShape: every message is in exactly one thread, parentheses are balanced, and neither loops nor depth matter.
func TestThreadsOfAnyShape(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	for range 400 {
		n := 1 + rnd.Intn(30)
		ids := 1 + rnd.Intn(n+5)
		id := func() string { return fmt.Sprintf("<%d@x>", rnd.Intn(ids)) }
		var mails []string
		for range n {
			m := fmt.Sprintf("Subject: %s%d\r\nMessage-ID: %s\r\nDate: %d Jan 2024 00:00:00 +0000\r\n", []string{"", "Re: "}[rnd.Intn(2)], rnd.Intn(4), id(), 1+rnd.Intn(5))
			if rnd.Intn(3) > 0 {
				m += "References: " + strings.Join([]string{id(), id(), id()}[:1+rnd.Intn(3)], " ") + "\r\n"
			}
			mails = append(mails, m+"\r\n")
		}
		ft := newFetchTest(t, mails)
		for algorithm := range threadAlgorithms {
			got, err := ft.thread(t, algorithm)
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]int{}
			for _, w := range strings.FieldsFunc(got, func(r rune) bool { return r == '(' || r == ')' || r == ' ' }) {
				seen[w]++
			}
			depth := 0
			for _, c := range got {
				depth += strings.Count("(", string(c)) - strings.Count(")", string(c))
				if depth < 0 {
					break
				}
			}
			if len(seen) != n || depth != 0 || strings.Contains(got, "()") {
				t.Fatalf("%s of %q: %s", algorithm, mails, got)
			}
			for w, k := range seen {
				if k != 1 {
					t.Fatalf("%s of %q: %s is there %d times in %s", algorithm, mails, w, k, got)
				}
			}
		}
	}
}

// TestDeepThreads: a conversation of 20,000 answers is one list.
func TestDeepThreads(t *testing.T) {
	const n = 20_000
	mails := make([]string, n)
	want := "("
	for i := range mails {
		mails[i] = fmt.Sprintf("Subject: x\r\nMessage-ID: <%d@x>\r\nIn-Reply-To: <%d@x>\r\nDate: 1 Jan 2024 00:00:00 +0000\r\n\r\n", i, i-1)
		want += fmt.Sprint(i+1, " ")
	}
	want = " " + strings.TrimSuffix(want, " ") + ")"
	ft := newFetchTest(t, mails)
	for _, algorithm := range []string{"REFERENCES", "REFS"} {
		if got, err := ft.thread(t, algorithm); err != nil || got != want {
			t.Errorf("%s: %.100q…, %v", algorithm, got, err)
		}
	}
}

// FuzzSortAndThread states that the arguments of SORT, THREAD and ESEARCH are parsed without a panic, and that a program that is kept
// is parsed again.
func FuzzSortAndThread(f *testing.F) {
	for _, s := range []string{"RETURN (MIN PARTIAL -1:-5 UPDATE (FLAGS)) (REVERSE DATE SUBJECT) UTF-8 1:3 $ NOT UID 5:*", "(DATE) ISO-8859-1 SUBJECT {2+}\r\n\xe4x OR 1 (2 $)", "() x", "RETURN () (SIZE) UTF-8 ALL", "RETURN (PARTIAL 1:4294967296)"} {
		f.Add([]byte(s))
	}
	ft := newFetchTest(f, searchMails)
	f.Fuzz(func(t *testing.T, args []byte) {
		d := imapwire.NewDecoder(append(append([]byte(" "), args...), '\r', '\n'), imapwire.DefaultLimits)
		parseSearchReturn(&d)
		d.SP()
		criteria := parseSortCriteria(&d)
		d.SP()
		charset := d.AString()
		p := searchParser{d: &d, view: ft.view, saved: noneSaved}
		if _, err := p.parse(charset); err != nil {
			return
		}
		c := searchContext{criteria: "(DATE)", charset: string(charset), program: p.text()}
		again := searchParser{view: ft.view, saved: noneSaved}
		if _, _, err := c.parse(&again, imapwire.DefaultLimits); err != nil || len(criteria) == 0 {
			t.Errorf("%q: %d criteria; %q: %v", args, len(criteria), c.program, err)
		}
		if text := again.text(); text != c.program {
			t.Errorf("%q became %q", c.program, text)
		}
	})
}

func benchMails(n int) []string {
	mails := make([]string, n)
	for i := range mails {
		mails[i] = fmt.Sprintf("Subject: %s subject %d\r\nFrom: Sender %d <s%d@example.org>\r\nDate: Mon, %d Jan 2024 %02d:%02d:00 +0000\r\nMessage-ID: <m%d@example.org>\r\nReferences: <m%d@example.org>\r\n\r\nbody of message %d\r\n%s",
			[]string{"Re:", "", "[list]"}[i%3], i*7919%(n/4+1), i%97, i%97, 1+i%28, i%24, i%60, i, i/3, i, strings.Repeat("some more text of the body\r\n", 10))
	}
	return mails
}

// BenchmarkSort measures what SORT, THREAD and SEARCH cost beside storage, which is in memory here.
func BenchmarkSort(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		ft := newFetchTest(b, benchMails(n))
		run := func(name string, f func() (string, error)) {
			b.Run(fmt.Sprintf("messages=%d/%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := f(); err != nil {
						b.Fatal(err)
					}
					ft.store.calls = nil
				}
			})
		}
		for _, args := range []string{"(SUBJECT)", "(REVERSE DATE)", "(FROM SUBJECT DATE)", "(ARRIVAL)"} {
			run("SORT "+args, func() (string, error) { return ft.sort(b, args+" UTF-8 ALL") })
		}
		for _, a := range []string{"ORDEREDSUBJECT", "REFERENCES", "REFS"} {
			run("THREAD "+a, func() (string, error) { return ft.thread(b, a) })
		}
		for _, p := range []string{"SUBJECT nowhere", "BODY nowhere"} {
			run("SEARCH "+p, func() (string, error) {
				s, _, err := ft.search(b, false, p)
				return s, err
			})
		}
	}
}

package imap

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/message"
)

var searchMails = []string{
	"Subject: one\r\nFrom: Alice <a@example.org>\r\nDate: Thu, 15 Feb 2024 23:30:00 -0500\r\n\r\nbody of the first\r\n",
	"Subject: =?utf-8?q?zw=C3=B6lf?=\r\nFrom: b@example.org\r\nTo: a@example.org\r\nDate: Fri, 16 Feb 2024 00:30:00 +0100\r\n\r\nsecond body\r\n",
	"Subject: three\r\nX-A:\r\n\r\n" + strings.Repeat("a long body\r\n", 200),
	"From: c@example.org\r\nCc: d@example.org\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nZ3LDvMOfZQ==\r\n",
	"",
	"Subject: broken date\r\nDate: yesterday\r\n\r\nlast body\r\n",
}

// search runs a program and returns the answer.
func (ft *fetchTest) search(t testing.TB, uid bool, program string) (string, *search, error) {
	t.Helper()
	d := imapwire.NewDecoder([]byte(" "+program+"\r\n"), imapwire.DefaultLimits)
	key, err := parseSearch(&d, ft.view, noneSaved)
	if err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	s := ft.srv.newSearch(context.Background(), ft.view, ft.ref, key)
	err = s.run()
	out := &buffer{}
	s.answer(out, "SEARCH", uid)
	return strings.TrimSuffix(strings.TrimPrefix(string(out.all), "* SEARCH"), "\r\n"), s, err
}

func TestSearch(t *testing.T) {
	ft := newFetchTest(t, searchMails)
	ft.box.SetFlags(1, backend.FlagSeen|backend.FlagAnswered, "$Work", "Later")
	ft.box.SetFlags(2, backend.FlagFlagged|backend.FlagDeleted)
	ft.box.SetFlags(3, backend.FlagDraft, "$Work")
	ft.box.SetFlags(4, 0)
	ft.box.SetFlags(5, backend.FlagSeen)
	ft.box.SetFlags(6, backend.FlagSeen)
	ft.box.SetFirstRecent(5)
	ft.reload(t)
	m, _ := ft.view.Message(5)
	day := time.Unix(1e9, 0)
	for _, tc := range []struct{ program, want string }{
		{"ALL", " 1 2 3 4 5 6"},
		{"SEEN", " 1 5 6"}, {"UNSEEN", " 2 3 4"}, {"ANSWERED", " 1"}, {"UNANSWERED", " 2 3 4 5 6"}, {"FLAGGED", " 2"}, {"UNFLAGGED SEEN", " 1 5 6"},
		{"DELETED", " 2"}, {"UNDELETED UNSEEN", " 3 4"}, {"DRAFT", " 3"}, {"UNDRAFT UNSEEN", " 2 4"},
		{"RECENT", " 5 6"}, {"OLD", " 1 2 3 4"}, {"NEW", ""}, {"KEYWORD $work", " 1 3"}, {"UNKEYWORD $Work", " 2 4 5 6"}, {"KEYWORD nobody", ""}, {"UNKEYWORD nobody SEEN", " 1 5 6"}, {"KEYWORD Later", " 1"},
		{"2:4", " 2 3 4"}, {"*", " 6"}, {"5:*", " 5 6"}, {"7:9", ""}, {"1,3 2:*", " 3"}, {"UID 2:3", " 2 3"}, {"UID 100:*", " 6"}, {"NOT 1:4", " 5 6"},
		{"OR SEEN DRAFT", " 1 3 5 6"}, {"OR (SEEN ANSWERED) (DRAFT KEYWORD $Work)", " 1 3"}, {"NOT (OR SEEN DRAFT)", " 2 4"}, {"NOT NOT SEEN", " 1 5 6"}, {"((SEEN)) (NOT RECENT)", " 1"},
		{"LARGER 1000", " 3"}, {"SMALLER 1", " 5"}, {"NOT SMALLER 100 LARGER 99", " 1 2 3 4"}, {"LARGER 4294967296", ""},
		{"SUBJECT one", " 1"}, {"SUBJECT ZW\u00d6LF", " 2"}, {"SUBJECT \"\"", " 1 2 3 6"}, {"SUBJECT zwo", " 2"}, {"FROM \"<a@example.org>\"", " 1"}, {"FROM alice", " 1"}, {"TO a@EXAMPLE", " 2"}, {"CC d", " 4"}, {"BCC x", ""},
		{"HEADER X-a \"\"", " 3"}, {"HEADER From {1}\r\n@", " 1 2 4"}, {"BODY first", " 1"}, {"BODY gr\u00fc\u00dfe", " 4"}, {"TEXT body", " 1 2 3 6"}, {"TEXT alice", " 1"}, {"BODY alice", ""}, {"TEXT \"\"", " 1 2 3 4 5 6"},
		{"BODY body NOT SUBJECT one", " 2 3 6"}, {"OR BODY first OR SUBJECT three LARGER 4000", " 1 3"}, {"NOT TEXT body", " 4 5"},
		{"SENTON 15-Feb-2024", " 1"}, {"SENTON 16-Feb-2024", " 2"}, {"SENTSINCE 16-Feb-2024", " 2"}, {"SENTBEFORE \"15-Feb-2024\"", " 3 4 5 6"}, {"SENTSINCE 1-Jan-1971", " 1 2"},
		{"ON " + day.Format("2-Jan-2006"), " 1 2 3 4 5 6"}, {"BEFORE " + day.Format("2-Jan-2006"), ""}, {"SINCE " + day.Format("02-Jan-2006"), " 1 2 3 4 5 6"}, {"SINCE " + day.AddDate(0, 0, 1).Format("2-Jan-2006"), ""},
		{fmt.Sprintf("MODSEQ %d", m.ModSeq), fmt.Sprintf(" 5 6 (MODSEQ %d)", m.ModSeq+1)}, {"MODSEQ \"/flags/\\\\seen\" all 99999", ""}, {"NOT MODSEQ 1", ""},
		{"CHARSET utf-8 TEXT gr\u00fc\u00dfe", " 4"}, {"CHARSET US-ASCII ALL", " 1 2 3 4 5 6"},
	} {
		program := tc.program
		if i := strings.IndexFunc(program, func(r rune) bool { return r > 127 }); i >= 0 { // 8-bit words must be quoted
			i = strings.LastIndexByte(program[:i], ' ') + 1
			program = program[:i] + `"` + program[i:] + `"`
		}
		if got, _, err := ft.search(t, false, program); err != nil || got != tc.want {
			t.Errorf("%s: %q, %v; want %q", tc.program, got, err, tc.want)
		}
	}
}

func TestSearchAnswersWithUIDs(t *testing.T) {
	ft := newFetchTest(t, searchMails)
	ft.box.Expunge(1)
	ft.reload(t)
	if got, _, _ := ft.search(t, true, "SUBJECT three"); got != " 3" {
		t.Error(got)
	}
	if got, _, _ := ft.search(t, false, "SUBJECT three"); got != " 2" {
		t.Error(got)
	}
}

// searchWords are the leaves of random programs.
var searchWords = []string{"SEEN", "UNSEEN", "KEYWORD $Work", "2:4", "LARGER 100", "SMALLER 130", "SUBJECT o", "FROM a", "BODY body", "TEXT example", "SENTSINCE 16-Feb-2024", "SINCE 1-Jan-2000", "ALL", "HEADER X-A \"\"", "MODSEQ 3", "OLDER 1000", "YOUNGER 900000000", "$", "UID $"}

func randomProgram(rnd *rand.Rand, depth int) string {
	if depth == 0 || rnd.Intn(3) == 0 {
		return searchWords[rnd.Intn(len(searchWords))]
	}
	switch rnd.Intn(3) {
	case 0:
		return "NOT " + randomProgram(rnd, depth-1)
	case 1:
		return "OR " + randomProgram(rnd, depth-1) + " " + randomProgram(rnd, depth-1)
	}
	return "(" + randomProgram(rnd, depth-1) + " " + randomProgram(rnd, depth-1) + ")"
}

// TestSearchInPhases compares the phases with one look at everything, while storage goes down now and then.
func TestSearchInPhases(t *testing.T) {
	ft := newFetchTest(t, searchMails)
	ft.store.err = backend.Errorf(backend.KindUnavailable, "down")
	rnd := rand.New(rand.NewSource(1))
	for range 500 {
		program := randomProgram(rnd, 4)
		d := imapwire.NewDecoder([]byte(" "+program+"\r\n"), imapwire.DefaultLimits)
		key, err := parseSearch(&d, ft.view, noneSaved)
		if err != nil {
			t.Fatalf("%s: %v", program, err)
		}
		want := ""
		var modseq uint64
		for m := range ft.view.Messages(ft.view.All()) {
			raw := []byte(searchMails[m.UID-1])
			f := facts{view: ft.view, msg: m, read: phaseBody, size: uint64(len(raw)), date: 1e9 + int64(m.UID), body: raw}
			f.header, _ = message.SplitHeader(raw)
			if key.eval(&f) == isTrue {
				want += fmt.Sprintf(" %d", m.Seq)
				modseq = m.ModSeq
			}
		}
		if key.hasModSeq() && want != "" {
			want += fmt.Sprintf(" (MODSEQ %d)", modseq)
		}
		ft.store.piece = 1 + rnd.Intn(500)
		ft.store.downs = []int{rnd.Intn(8), rnd.Intn(8), rnd.Intn(30)}
		ft.store.calls = nil
		got, _, err := ft.search(t, false, program)
		if err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", program, got, err, want)
		}
		if n := len(ft.store.calls); n > 3+3 {
			t.Errorf("%s: %d calls", program, n)
		}
	}
}

func TestSearchReadsNoMoreThanItNeeds(t *testing.T) {
	ft := newFetchTest(t, searchMails)
	for _, tc := range []struct {
		program string
		want    []string // items, fields and UIDs of each call
	}{
		{"SEEN KEYWORD $Work UID 1:3", nil},
		{"SEEN BODY x NOT ALL", nil},
		{"2:3 LARGER 100", []string{"1 [] [2 3]"}},
		{"2:3 LARGER 100000 BODY x", []string{"1 [] [2 3]"}},
		{"BODY body SUBJECT o 1:3", []string{"0 [SUBJECT] [1 2 3]", fmt.Sprint(int(backend.FetchBody), " [] [1 2]")}},
		{"OR 1 SUBJECT o", []string{"0 [SUBJECT] [2 3 4 5 6]"}},
	} {
		ft.store.calls = nil
		if _, _, err := ft.search(t, false, tc.program); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range ft.store.calls {
			got = append(got, fmt.Sprint(int(c.Items), " ", c.HeaderFields, " ", c.UIDs))
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.program, got, tc.want)
		}
	}
}

func TestSearchReportsWhatCannotBeRead(t *testing.T) {
	ft := newFetchTest(t, searchMails)
	ft.box.Damage(2, &backend.Error{Kind: backend.KindCorrupted, Detail: "m.1 offset 7"})
	ft.box.Damage(3, backend.Errorf(backend.KindExpunged, "gone"))
	got, s, err := ft.search(t, false, "TEXT body")
	if outcome := responseOf(s.failures.outcome("searched")); err != nil || got != " 1 6" || outcome.code != "CORRUPTION" {
		t.Errorf("%q, %v, %v", got, err, outcome)
	}
	ft.store.err, ft.store.downs = backend.Errorf(backend.KindUnavailable, "down"), []int{0, 0, 0, 0, 0, 0, 0}
	if _, _, err = ft.search(t, false, "TEXT body"); err == nil {
		t.Error("storage stays down, but the search succeeds")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s = ft.srv.newSearch(ctx, ft.view, ft.ref, &searchKey{op: searchBody, pattern: message.NewPattern("x")})
	if err := s.run(); backend.KindOf(err) != backend.KindCancelled {
		t.Error(err)
	}
}

func TestSearchOfALargeMessageSeesItsFirstPart(t *testing.T) {
	ft := newFetchTest(t, []string{"Subject: x\r\n\r\nnear " + strings.Repeat(".", 1000) + " far\r\n"})
	ft.srv.cfg.Fetch.Buffer = 500
	ft.store.piece = 70
	if got, _, err := ft.search(t, false, "OR BODY near BODY far"); got != " 1" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, _, err := ft.search(t, false, "BODY far"); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestSearchSyntax(t *testing.T) {
	deep := imapwire.DefaultLimits.Depth + 1
	ft := newFetchTest(t, nil)
	for _, program := range []string{"", "FOO", "()", "(SEEN", "SEEN)", "NOT", "OR SEEN", "OR SEEN SEEN DELETED)", "SUBJECT", "HEADER x", "BEFORE yesterday", "ON 31-Feb-2024", "SENTON 1-Foo-2024", "LARGER", "LARGER x", "SMALLER -1",
		"UID", "UID x", "0", "1:", "KEYWORD", "KEYWORD \\Seen", "MODSEQ", "MODSEQ \"/flags/x\" foo 1", "TEXT \"\xff\"", "UNFOO", "SENTFOO 1-Feb-2024", "CHARSET", "CHARSET UTF-8", strings.Repeat("NOT ", deep) + "SEEN", strings.Repeat("(", deep) + "SEEN" + strings.Repeat(")", deep)} {
		d := imapwire.NewDecoder([]byte(" "+program+"\r\n"), imapwire.DefaultLimits)
		if k, err := parseSearch(&d, ft.view, noneSaved); err == nil || responseOf(err).status != "BAD" {
			t.Errorf("%s: %+v, %v", program, k, err)
		}
	}
	d := imapwire.NewDecoder([]byte(" CHARSET KLINGON-8 ALL\r\n"), imapwire.DefaultLimits)
	if _, err := parseSearch(&d, ft.view, noneSaved); err == nil || responseOf(err).code != "BADCHARSET (US-ASCII UTF-8)" {
		t.Error(err)
	}
}

func BenchmarkSearch(b *testing.B) {
	const n = 100000
	ft := newFetchTest(b, make([]string, n))
	for _, program := range []string{"UNSEEN", "OR (UNSEEN NOT DELETED) KEYWORD $Work", "UID 50000:60000 UNDELETED"} {
		b.Run("messages=100000/"+program, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := ft.search(b, false, program); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// noneSaved is an empty "$".
func noneSaved() msgSet { return msgSet{uid: true} }

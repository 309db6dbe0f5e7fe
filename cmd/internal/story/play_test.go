package story

import (
	"bufio"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// toy is a server that answers a command with the lines of its answers, in which TAG stands for the tag. It knows LOGIN and LOGOUT itself.
func toy(t *testing.T, answers map[string]string) Server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() { // ends with the listener
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go serveToy(c, answers) // ends with the client's connection, which Play closes
		}
	}()
	return Server{Name: "roost", Addr: ln.Addr().String(), Patience: time.Second}
}

func serveToy(c net.Conn, answers map[string]string) {
	defer c.Close()
	var w io.Writer = c
	r := bufio.NewReader(c)
	fmt.Fprintf(w, "* OK hello\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		tag, rest, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		switch answer, known := answers[rest]; {
		case rest == "DIE":
			return
		case strings.HasPrefix(rest, "LOGIN x"):
			fmt.Fprintf(w, "%s OK\r\n", tag)
		case rest == "COMPRESS DEFLATE":
			fmt.Fprintf(w, "%s OK\r\n", tag)
			z, _ := flate.NewWriter(c, 1)
			w, r = flusher{z}, bufio.NewReader(flate.NewReader(r))
		case rest == "LOGOUT":
			fmt.Fprintf(w, "* BYE\r\n%s OK\r\n", tag)
			return
		case known:
			fmt.Fprint(w, strings.ReplaceAll(answer, "TAG", tag))
		}
	}
}

type flusher struct{ *flate.Writer }

func (f flusher) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	return n, errors.Join(err, f.Flush())
}

var toyAnswers = map[string]string{
	"CAPABILITY": "* CAPABILITY IMAP4rev1 Sort\r\nTAG OK done\r\n",
	"NOOP":       "* 3 EXISTS\r\n* 2 RECENT\r\n* LIST () \"/\" a\r\nTAG OK [X 17] done\r\n",
	"QUIET":      "TAG OK quiet\r\n",
	"WHO x-2":    "TAG OK two\r\n",
	"GET 18":     "* 1 FETCH ({5}\r\nab\r\nc)\r\nTAG OK done\r\n",
}

func TestPlaySucceeds(t *testing.T) {
	srv := toy(t, toyAnswers)
	play(t, srv, true, `needs: SORT
1> a NOOP
1> b QUIET
1<~ * 2 RECENT
1<~ * 3 EXISTS
1<~? * 1 EXPUNGE
1<~ * LIST …
1< a OK [X «x»] done
1<? * 7 RECENT
1< b OK quiet
1> c GET «x+1»
1< * 1 FETCH ({5}
1< ab
1< c)
1< c OK done
1> d NOOP
1<… d OK [X «x»] …
1> e NOOP
1<? * 3 EXISTS
1<… * LIST …
1< e OK …
2> f WHO «user2»
2< f OK two
# RFC 3501 §7: so
[roost] 2> g QUIET
[roost] 2< g OK quiet
[dovecot] 2> g NOTHING
2> h COMPRESS DEFLATE
2< h OK
2<DEFLATE
2> i QUIET
2< i OK quiet
connect 3 raw
3< * OK hello
3> j DIE
3<EOF
connect 1 «user»
1> k QUIET
1< k OK quiet
1>- k QU
1> IET
1< k OK quiet
`)
}

func TestPlayFails(t *testing.T) {
	srv := toy(t, toyAnswers)
	for name, text := range map[string]string{
		"another line":                "1> a QUIET\n1< a NO quiet",
		"an untagged line before":     "1> a NOOP\n1< a OK …",
		"too much at the end":         "1> a NOOP\n1< * 3 EXISTS",
		"one of a set is missing":     "1> a NOOP\n1<~ * 3 EXISTS\n1<~ * 2 RECENT\n1<~ * 1 EXPUNGE\n1<~ * LIST …\n1< a OK …",
		"something between a set":     "1> a NOOP\n1<~ * 3 EXISTS\n1<~ * LIST …\n1< a OK …",
		"an optional line is another": "1> a NOOP\n1<? * 4 EXISTS\n1< * 2 RECENT\n1<… a OK …",
		"skipped to the wrong end":    "1> a NOOP\n1<… a NO …",
		"a value that has changed":    "1> a NOOP\n1<… a OK [X «x»] done\n1> b QUIET\n1< b OK «x»",
		"a value that nobody knows":   "1> a «x»\n1< a OK",
		"not the end":                 "1> a QUIET\n1<EOF",
		"the end, unexpected":         "1> a DIE\n1< a OK",
		"the end, at the end":         "1> a QUIET\n1< a OK quiet\n1> b DIE",
		"login refused":               "connect 2 nobody\n2> a NOOP\n2< a OK",
		"a capability is missing":     "needs: THREAD=REFS\n1> a QUIET\n1< a OK quiet",
		"no such mail":                "mail: none.eml\n1> a QUIET\n1< a OK quiet",
		"reopened with a rest":        "1> a NOOP\n1< * 3 EXISTS\nconnect 1 raw\n1< * OK hello",
	} {
		t.Run(name, func(t *testing.T) { play(t, srv, false, text) })
	}
}

func TestPlayAppendsMail(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, mailDir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, mailDir, "a.eml"), []byte("a\nb"), 0o644); err != nil {
		t.Fatal(err)
	}
	srv := toy(t, map[string]string{
		"CAPABILITY": toyAnswers["CAPABILITY"],
		"CREATE Box": "TAG OK\r\n",
		`APPEND Box (\Seen work) " 2-Jan-2020 03:04:05 +0000" {4+}`: "TAG OK\r\n", // the lines of the literal have no answer
		`STATUS`: "TAG OK\r\n",
	})
	srv.Root = dir
	play(t, srv, true, "mail: a.eml in:Box \\Seen work x2 2020-01-02T03:04:05Z\n1> a STATUS\n1< a OK")
	play(t, srv, false, "mail: a.eml in:Box \\Seen work\n1> a STATUS\n1< a OK")
}

func TestMarkedIsNotSeen(t *testing.T) {
	for in, want := range map[string]string{
		`* LIST (\HasNoChildren \Marked) "/" a`:       `* LIST (\HasNoChildren) "/" a`,
		`* LIST (\Marked) "/" \Marked`:                `* LIST () "/" \Marked`,
		`* LIST (\UnMarked \Sent) "/" a`:              `* LIST (\Sent) "/" a`,
		`* LSUB (\HasNoChildren \Marked \Sent) "/" a`: `* LSUB (\HasNoChildren \Sent) "/" a`,
		`* LIST (\HasNoChildren \MarkedUp) "/" a`:     `* LIST (\HasNoChildren \MarkedUp) "/" a`,
		`* FLAGS (\Marked)`:                           `* FLAGS (\Marked)`,
	} {
		if got := unmarked(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestUnplayableNamesTheCapability(t *testing.T) {
	s := parse(t, "# t\nrfc: 1 §1\nneeds: THREAD=REFS\n1> a NOOP")
	if err := s.Play(toy(t, toyAnswers)); !errors.Is(err, ErrNotThere) || !strings.Contains(err.Error(), "THREAD=REFS") {
		t.Errorf("error %v", err)
	}
}

// play plays a story that must succeed, or fail.
func play(t *testing.T, srv Server, succeeds bool, text string) {
	t.Helper()
	err := parse(t, "# t\nrfc: 3501 §6\n"+text).Play(srv)
	if succeeds && err != nil {
		t.Error(err)
	}
	if !succeeds && err == nil {
		t.Error("the story succeeds")
	}
}

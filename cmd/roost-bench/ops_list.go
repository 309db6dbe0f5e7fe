package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// operations are what `roost-bench ops` measures. Those that write are last: the store grows.
var operations = []op{
	{name: "connect + LOGIN + LOGOUT", unit: "per s", anonymous: true, step: loginAnd("")},
	{name: "NOOP", unit: "per s", selects: bigBox, step: command(1, "NOOP"), constant: true},

	{name: "SELECT of the big mailbox, new session", unit: "per s", anonymous: true, step: loginAnd("SELECT " + bigBox), constant: true},
	{name: "SELECT of the big mailbox, same session", unit: "per s", step: command(1, "SELECT "+bigBox), constant: true},
	{name: "SELECT of 100 messages, same session", unit: "per s", step: command(1, "SELECT "+hundredBox)},
	{name: "SELECT of the big mailbox, cold", unit: "ms", conns: one, anonymous: true, latency: true, step: coldSelect(bigBox)},
	{name: "SELECT of 100 messages, cold", unit: "ms", conns: one, anonymous: true, latency: true, step: coldSelect(hundredBox)},
	{name: "SELECT (QRESYNC) of the big mailbox", unit: "per s", start: qresync, constant: true},
	{name: "STATUS of the big mailbox", unit: "per s", step: command(1, "STATUS "+bigBox+" (MESSAGES UNSEEN UIDNEXT UIDVALIDITY)"), constant: true},
	{name: "STATUS of 100 mailboxes (LIST-STATUS)", unit: "mailboxes per s", user: foldersUser, step: command(100, `LIST "" f0% RETURN (STATUS (MESSAGES UNSEEN UIDNEXT))`)},
	{name: "LIST of 1,000 mailboxes", unit: "mailboxes per s", user: foldersUser, step: command(folderCount, `LIST "" *`)},

	{name: "FETCH FLAGS of the big mailbox", unit: "messages per s", selects: bigBox, step: perMessage("FETCH 1:* (UID FLAGS)")},
	{name: "FETCH ENVELOPE of the big mailbox", unit: "messages per s", selects: bigBox, step: perMessage("FETCH 1:* (UID ENVELOPE)")},
	{name: "FETCH BODYSTRUCTURE of the big mailbox", unit: "messages per s", selects: bigBox, step: perMessage("FETCH 1:* (UID BODYSTRUCTURE)")},
	{name: "FETCH one header of the big mailbox", unit: "messages per s", selects: bigBox, step: perMessage("FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])")},
	{name: "FETCH FLAGS of one message", unit: "per s", selects: bigBox, constant: true, step: randomMessage("FETCH %d (UID FLAGS)")},
	{name: "FETCH ENVELOPE of one message", unit: "per s", selects: bigBox, constant: true, step: randomMessage("FETCH %d (UID ENVELOPE)")},
	{name: "FETCH ENVELOPE without a cache", unit: "messages per s", conns: one, anonymous: true, step: uncached("FETCH 1:* (UID ENVELOPE)")},
	{name: "FETCH BODYSTRUCTURE without a cache", unit: "messages per s", conns: one, anonymous: true, step: uncached("FETCH 1:* (UID BODYSTRUCTURE)")},
	{name: "FETCH one header without a cache", unit: "messages per s", conns: one, anonymous: true, step: uncached("FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])")},
	{name: "FETCH bodies", unit: "MB/s", selects: bodiesBox, step: megabytes("FETCH 1:* (UID BODY.PEEK[])")},
	{name: "FETCH bodies, zstd", unit: "MB/s", user: zstdUser, selects: bodiesBox, step: megabytes("FETCH 1:* (UID BODY.PEEK[])")},
	{name: "FETCH of one 50 KB message", unit: "per s", conns: oneTenFifty, selects: bodiesBox, step: func(w *worker) (float64, error) {
		_, err := w.Drain("FETCH %d (UID BODY.PEEK[])", 1+w.n%w.spec.bodies)
		return 1, err
	}},

	{name: "SEARCH UNSEEN UNDELETED of 10,000", unit: "messages per s", selects: tenBox, step: command(tenThousand, "SEARCH UNSEEN UNDELETED")},
	{name: "SEARCH FROM of 10,000", unit: "messages per s", selects: tenBox, step: command(tenThousand, "SEARCH FROM nobody")},
	{name: "SEARCH BODY of 10,000", unit: "messages per s", selects: tenBox, step: command(tenThousand, "SEARCH BODY nowhere")},
	{name: "SEARCH TEXT of 10,000", unit: "messages per s", selects: tenBox, step: command(tenThousand, "SEARCH TEXT nowhere")},
	{name: "SORT by subject of the big mailbox", unit: "messages per s", selects: bigBox, step: perMessage("SORT (SUBJECT) UTF-8 ALL")},
	{name: "SORT by date of the big mailbox", unit: "messages per s", selects: bigBox, step: perMessage("SORT (REVERSE DATE) UTF-8 ALL")},
	{name: "SORT by arrival of the big mailbox", unit: "messages per s", selects: bigBox, step: perMessage("SORT (REVERSE ARRIVAL) UTF-8 ALL")},
	{name: "THREAD REFERENCES of the big mailbox", unit: "messages per s", selects: bigBox, step: perMessage("THREAD REFERENCES UTF-8 ALL")},
	{name: "THREAD ORDEREDSUBJECT of the big mailbox", unit: "messages per s", selects: bigBox, step: perMessage("THREAD ORDEREDSUBJECT UTF-8 ALL")},

	{name: "STORE to one message", unit: "per s", selects: bigBox, constant: true, step: func(w *worker) (float64, error) {
		_, err := w.Drain(`STORE %d %cFLAGS (\Flagged)`, 1+rand.IntN(w.spec.messages), "+-"[rand.IntN(2)])
		return 1, err
	}},
	{name: "STORE to 10,000 messages", unit: "messages per s", selects: tenBox, step: func(w *worker) (float64, error) {
		_, err := w.Drain(`STORE 1:%d %cFLAGS (\Flagged)`, tenThousand, "+-"[w.n%2])
		return tenThousand, err
	}},
	{name: "COPY of one message", unit: "per s", selects: bigBox, constant: true, step: randomMessage("COPY %d INBOX")},
	{name: "COPY of 1,000 messages", unit: "messages per s", conns: one, selects: bigBox, step: func(w *worker) (float64, error) {
		if err := w.off(func() error { return w.empty("Copies") }); err != nil {
			return 0, err
		}
		_, err := w.Drain("COPY 1:1000 Copies")
		return 1000, err
	}},
	{name: "MOVE of 1,000 messages", unit: "messages per s", conns: one, step: func(w *worker) (float64, error) {
		if err := w.off(func() error { return errors.Join(w.empty("Moved"), w.filled("Source", 1000)) }); err != nil {
			return 0, err
		}
		_, err := w.Drain("MOVE 1:* Moved")
		return 1000, err
	}},
	{name: "EXPUNGE of 10,000 messages", unit: "messages per s", conns: one, step: func(w *worker) (float64, error) {
		if err := w.off(func() error {
			return errors.Join(w.filled("Source", tenThousand), w.do(`STORE 1:* +FLAGS.SILENT (\Deleted)`))
		}); err != nil {
			return 0, err
		}
		_, err := w.Drain("EXPUNGE")
		return tenThousand, err
	}},
	// The mailbox keeps its size.
	{name: "EXPUNGE of one message", unit: "per s", conns: one, selects: bigBox, constant: true, step: func(w *worker) (float64, error) {
		if err := w.off(func() error {
			return errors.Join(w.do("COPY 1 "+bigBox), w.do(fmt.Sprintf(`STORE %d +FLAGS.SILENT (\Deleted)`, 1+rand.IntN(w.spec.messages))))
		}); err != nil {
			return 0, err
		}
		_, err := w.Drain("EXPUNGE")
		return 1, err
	}},
	{name: "APPEND of 4 KB", unit: "per s", conns: oneTenFifty, step: appends(1, 4_000, 1)},
	{name: "APPEND of 4 KB to the big mailbox, selected", unit: "per s", conns: one, selects: bigBox, constant: true, step: func(w *worker) (float64, error) {
		return 1, w.append(bigBox, 1, 4_000)
	}},
	{name: "APPEND of 100 KB", unit: "MB/s", conns: oneTenFifty, step: appends(1, 100_000, 0.1)},
	{name: "MULTIAPPEND of 100 times 4 KB", unit: "messages per s", step: appends(100, 4_000, 100)},
	{name: "APPEND to EXISTS in IDLE", unit: "ms", conns: one, latency: true, selects: hundredBox, start: idleLatency},
}

// Numbers of connections.
var (
	one         = []int{1}
	oneTenFifty = []int{1, 10, 50}
)

// command makes an operation of one command that counts as units.
func command(units float64, text string) step {
	return func(w *worker) (float64, error) { return units, w.do(text) }
}

// do sends a command and reads its answer.
func (w *worker) do(text string) error {
	_, err := w.Drain("%s", text)
	return err
}

// perMessage makes an operation of one command that counts the messages of the big mailbox.
func perMessage(text string) step {
	return func(w *worker) (float64, error) { return float64(w.spec.messages), w.do(text) }
}

// randomMessage makes an operation of a command with the number of a message of the big mailbox.
func randomMessage(format string) step {
	return func(w *worker) (float64, error) {
		_, err := w.Drain(format, 1+rand.IntN(w.spec.messages))
		return 1, err
	}
}

// megabytes makes an operation of one command that counts what comes back.
func megabytes(text string) step {
	return func(w *worker) (float64, error) {
		n, err := w.Drain("%s", text)
		return float64(n) / 1e6, err
	}
}

// loginAnd makes an operation of a session with one command, "" = none.
func loginAnd(text string) step {
	return func(w *worker) (float64, error) {
		c, err := rig.Login(w.server.addr, benchUser)
		if err != nil {
			return 0, err
		}
		defer c.Close()
		if text != "" {
			if _, err := c.Drain("%s", text); err != nil {
				return 0, err
			}
		}
		_, err = c.Drain("LOGOUT")
		return 1, err
	}
}

// coldSelect makes an operation that selects a mailbox of a server that has just started.
func coldSelect(box string) step {
	return afterRestart(1, "", "SELECT "+box, func(s *server) error { return s.cold() })
}

// uncached makes an operation of one command in the big mailbox when that has no cache file.
func uncached(text string) step {
	return func(w *worker) (float64, error) {
		return afterRestart(float64(w.spec.messages), bigBox, text, func(s *server) error { return s.uncached(bigBox) })(w)
	}
}

// afterRestart makes an operation of one command that comes after a restart, in the mailbox box, if it is not "".
func afterRestart(units float64, box, text string, restart func(*server) error) step {
	return func(w *worker) (float64, error) {
		if err := w.off(func() error {
			if w.Client != nil {
				w.Close()
				w.Client = nil
			}
			if err := restart(w.server); err != nil {
				return err
			}
			return w.connect(op{selects: box})
		}); err != nil {
			return 0, err
		}
		return units, w.do(text)
	}
}

// qresync selects the big mailbox as a client does that was away for a moment.
func qresync(w *worker) (step, error) {
	if err := w.do("ENABLE QRESYNC"); err != nil {
		return nil, err
	}
	lines, err := w.Cmd("SELECT %s", bigBox)
	if err != nil {
		return nil, err
	}
	all := bytes.Join(lines, nil)
	validity, modseq := uidValidity.FindSubmatch(all), highestModSeq.FindSubmatch(all)
	if validity == nil || modseq == nil {
		return nil, fmt.Errorf("no UIDVALIDITY or HIGHESTMODSEQ in %q", all)
	}
	return command(1, fmt.Sprintf("SELECT %s (QRESYNC (%s %s))", bigBox, validity[1], modseq[1])), nil
}

var (
	uidValidity   = regexp.MustCompile(`UIDVALIDITY (\d+)`)
	highestModSeq = regexp.MustCompile(`HIGHESTMODSEQ (\d+)`)
)

// empty makes an empty mailbox, in place of one that may be there.
func (w *worker) empty(box string) error {
	_ = w.do("DELETE " + box)
	return w.do("CREATE " + box)
}

// filled selects a mailbox made anew, with copies of n messages.
func (w *worker) filled(box string, n int) error {
	return errors.Join(w.do("SELECT "+tenBox), w.empty(box), w.do(fmt.Sprintf("COPY 1:%d %s", n, box)), w.do("SELECT "+box))
}

// appends makes an operation of one APPEND of n messages to INBOX that counts as units.
func appends(n, size int, units float64) step {
	return func(w *worker) (float64, error) { return units, w.append("INBOX", n, size) }
}

// append sends one APPEND with n messages.
func (w *worker) append(box string, n, size int) error {
	text := "From: a@example.org\r\nSubject: appended\r\n\r\n" + strings.Repeat("Lorem ipsum dolor sit amet, consectetur.\r\n", size/42)
	return w.do("APPEND " + box + strings.Repeat(fmt.Sprintf(" (\\Seen) {%d+}\r\n%s", len(text), text), n))
}

// idleLatency is how long it takes until a session in IDLE hears of a message that another one appends.
func idleLatency(w *worker) (step, error) {
	other, err := rig.Login(w.server.addr, benchUser)
	if err != nil {
		return nil, err
	}
	sender := &worker{Client: other}
	tag, err := w.Start("IDLE")
	if err != nil {
		return nil, err
	}
	if r, err := w.ReadResponse(); err != nil || !bytes.HasPrefix(r, []byte("+")) {
		return nil, fmt.Errorf("IDLE: %q %v", r, err)
	}
	w.closing = func() {
		w.Send([]byte("DONE\r\n"))
		w.Until(tag)
		other.Close()
	}
	return func(*worker) (float64, error) {
		sent := make(chan error, 1)
		go func() { sent <- sender.append(hundredBox, 1, 1_000) }()
		for {
			r, err := w.ReadResponse()
			if err != nil {
				return 0, errors.Join(err, <-sent)
			}
			if bytes.HasSuffix(r, []byte(" EXISTS")) {
				return 1, <-sent
			}
		}
	}, nil
}

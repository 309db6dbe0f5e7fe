package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// The mailboxes of benchUser.
const (
	bigBox     = "Big"         // many small messages, flags mixed, cache warm
	bodiesBox  = "Bodies"      // messages of bodySize bytes
	hundredBox = "Hundred"     // 100 small messages
	tenBox     = "TenThousand" // as many small messages, cache warm

	bodySize    = 50_000
	hundred     = 100
	tenThousand = 10_000
	folderCount = 1_000 // mailboxes of foldersUser, f000 and so on, each with one message
)

// The users of the benchmark store.
const (
	benchUser   = "bench"
	foldersUser = "folders" // many mailboxes
	zstdUser    = "zstd"    // bodiesBox, compressed
)

var benchUsers = []string{benchUser, foldersUser, zstdUser}

// storeSpec is the size of the benchmark store. Stores are kept and reused by spec.
type storeSpec struct {
	messages int  // in bigBox
	bodies   int  // in bodiesBox
	more     bool // with all other mailboxes and users, too
}

func (s storeSpec) name() string {
	name := fmt.Sprintf("store-%d-%d", s.messages, s.bodies)
	if s.more {
		name += "-more"
	}
	return name
}

// buildStore makes the store with a private Dovecot, once, in dir/store-…, and
// returns the directory of the homes of its users. Dovecot has served every
// envelope from it twice, so that its cache file is warm.
func buildStore(dir string, spec storeSpec) (string, error) {
	final := filepath.Join(dir, spec.name())
	if _, err := os.Stat(filepath.Join(final, "complete")); err == nil {
		return final, nil
	}
	if err := os.RemoveAll(final); err != nil {
		return "", err
	}
	if err := os.MkdirAll(final, 0o755); err != nil {
		return "", err
	}
	if err := os.Chown(final, rig.MailUID, rig.MailUID); err != nil {
		return "", err
	}
	fmt.Fprintf(os.Stderr, "making a store of %d + %d messages with Dovecot …\n", spec.messages, spec.bodies)
	rnd := rand.New(rand.NewPCG(1, 2))
	boxes := []box{{bigBox, spec.messages, 300}, {bodiesBox, spec.bodies, bodySize}}
	if spec.more {
		boxes = append(boxes, box{hundredBox, hundred, 300}, box{tenBox, tenThousand, 300})
	}
	if err := withDovecot(final, "", benchUser, func(c *rig.Client) error { return fillBoxes(c, boxes, rnd) }); err != nil {
		return "", err
	}
	if spec.more {
		zstd := "mail_plugins = zlib\nplugin {\n  zlib_save = zstd\n}\n"
		if err := withDovecot(final, zstd, zstdUser, func(c *rig.Client) error { return fillBoxes(c, boxes[1:2], rnd) }); err != nil {
			return "", err
		}
		if err := withDovecot(final, "", foldersUser, func(c *rig.Client) error { return fillFolders(c, rnd) }); err != nil {
			return "", err
		}
	}
	return final, os.WriteFile(filepath.Join(final, "complete"), nil, 0o644)
}

// withDovecot calls f with a session of a Dovecot that has the homes of its users in dir.
func withDovecot(dir, extra, user string, f func(*rig.Client) error) error {
	run, remove, err := rig.Dir("roost-bench-")
	if err != nil {
		return err
	}
	defer remove()
	d, err := rig.StartDovecot(rig.DovecotOptions{Dir: run, Home: filepath.Join(dir, "%u"), Extra: extra})
	if err != nil {
		return err
	}
	defer d.Stop()
	c, err := rig.Login(d.Addr, user)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := f(c); err != nil {
		return err
	}
	_, err = c.Cmd("LOGOUT")
	return err
}

// box is a mailbox with messages of about size bytes each.
type box struct {
	name           string
	messages, size int
}

// fillBoxes makes mailboxes, and has Dovecot cache what clients ask for of all small messages.
func fillBoxes(c *rig.Client, boxes []box, rnd *rand.Rand) error {
	for _, b := range boxes {
		if err := fill(c, b.name, b.messages, rnd, func(i int) []byte { return message(i, b.size, rnd) }); err != nil {
			return err
		}
		if b.size >= bodySize {
			continue
		}
		// The first pass decides to cache, the second (another session, not in order) confirms it.
		for range 2 {
			if _, err := c.Cmd("SELECT %s", b.name); err != nil {
				return err
			}
			if _, err := c.Drain("FETCH 1:* (UID ENVELOPE RFC822.SIZE INTERNALDATE BODYSTRUCTURE)"); err != nil {
				return err
			}
		}
	}
	return nil
}

// fillFolders makes the mailboxes of foldersUser.
func fillFolders(c *rig.Client, rnd *rand.Rand) error {
	for i := range folderCount {
		if err := fill(c, fmt.Sprintf("f%03d", i), 1, rnd, func(i int) []byte { return message(i, 300, rnd) }); err != nil {
			return err
		}
	}
	return nil
}

// fill creates a mailbox and appends n messages, a batch of 500 per MULTIAPPEND.
func fill(c *rig.Client, box string, n int, rnd *rand.Rand, make func(int) []byte) error {
	if _, err := c.Cmd("CREATE %s", box); err != nil {
		return err
	}
	flags := []string{"", `\Seen`, `\Seen \Flagged`, `\Seen \Answered`, `\Seen $Forwarded`, `\Seen $Label1 $Work`}
	for at := 0; at < n; {
		var b bytes.Buffer
		tag := fmt.Sprintf("m%d", at)
		fmt.Fprintf(&b, "%s APPEND %s", tag, box)
		for end := min(at+500, n); at < end && b.Len() < 8<<20; at++ {
			m := make(at + 1)
			fmt.Fprintf(&b, " (%s) \"%02d-Feb-2024 10:00:00 +0000\" {%d+}\r\n", flags[rnd.IntN(len(flags))], 1+at%28, len(m))
			b.Write(m)
		}
		b.WriteString("\r\n")
		if err := c.Send(b.Bytes()); err != nil {
			return err
		}
		if _, final, err := c.Until(tag); err != nil || !bytes.HasPrefix(final, []byte("OK")) {
			return fmt.Errorf("APPEND to %s: %s %v", box, final, err)
		}
	}
	return nil
}

// message makes message i with a body of about size bytes.
func message(i, size int, rnd *rand.Rand) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Return-Path: <sender%d@example.org>\r\nReceived: from mx.example.org by mail.example.org; Thu, 1 Feb 2024 10:00:00 +0000\r\n"+
		"From: \"Sender %d\" <sender%d@example.org>\r\nTo: Recipient <rcpt@example.org>, second%d@example.net\r\nCc: list%d@example.com\r\n"+
		"Subject: message number %d about subject %d\r\nDate: Thu, %d Feb 2024 09:%02d:00 +0100\r\nMessage-ID: <msg-%d@example.org>\r\n"+
		"In-Reply-To: <msg-%d@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
		i, i%977, i%977, i%13, i%7, i, i%501, 1+i%28, i%60, i, i/2)
	const letters = "abcdefghijklmnopqrstuvwxyz      "
	for n := 0; n < size; {
		line := make([]byte, 20+rnd.IntN(55))
		for j := range line {
			line[j] = letters[rnd.IntN(len(letters))]
		}
		b.Write(line)
		b.WriteString("\r\n")
		n += len(line) + 2
	}
	return b.Bytes()
}

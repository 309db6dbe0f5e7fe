package mdbox

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/roostmail/roost/core/message/messagetest"
	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mdboxtest"
)

// cachedMails are messages whose cached values are compared. Lines end in LF here.
var cachedMails = []string{
	"Subject: plain\nDate: Fri, 9 Feb 2024 12:00:00 -0500\nFrom: a@example.org\n\ntext\nmore\n",
	"subject: no date\nX-A: 1\n\n",
	"Subject : folded\n one\n\ttwo\nX-A: 1\nTo: b@example.org\nX-A: 2\n three\n\nbody without line end",
	"Subject: html\nDate: junk\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n" +
		"<html><head><style>p {}</style><title>T</title></head><body><p class=\"a>b\">Gr=C3=BC&szlig;e &amp; more</p><!-- no --><script>x</script>\n<blockquote>cited</blockquote> end =\nhere &nosuch; &#64;</body></html>\n",
	"MIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=b\nSubject: parts\n\npreamble\n--b\nContent-Type: text/html\n\n<b>bold</b>\n--b\nContent-Type: text/plain; charset=iso-8859-1\n\n" +
		"> cited\ngr\xfc\xdfe  plain\ttext\n--b--\nepilogue\n",
	"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nSubject: inner\nContent-Type: multipart/mixed; boundary=c\n\n--c\nX: y\n\ninner text\n--c--\n--b\n" +
		"Content-Type: application/pdf\nContent-Transfer-Encoding: base64\n\nAAAA\n--b\n\n\n--b--\n",
	"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: one\n\ntext\n--b\nContent-Type: text/plain\n\ntwo\n--b\n--b--\n",
	"Content-Type: text/plain; charset=us-ascii\nContent-Transfer-Encoding: 7BIT\nSubject: plain too\n\n> only\n> quoted\n",
	"Content-Type: text/plain; charset=utf-8\nSubject: =?utf-8?q?utf_8?=\nContent-Transfer-Encoding: base64\n\nSGVsbG8sIFdvcmxkISDDvMO8IO+7vw==\n",
	"Content-Type: text/plain\nSubject: " + strings.Repeat("long ", 100) + "\n\n" + strings.Repeat("word word\n", 100),
	"Content-Type: image/png\nSubject: picture\n\nbinary\n",
	"Content-Type: multipart/mixed\nSubject: no boundary\n\n--b\n\nx\n",
	"no header here\n\nbut text\n",
	"Subject: cr\r in it\n\nand\r in the\r\r\nbody\n",
}

const everyField = "flags date.sent date.received date.save size.virtual size.physical imap.body imap.bodystructure imap.envelope mime.parts body.snippet " +
	"hdr.subject hdr.X-A hdr.To hdr.Date"

// TestCachedValuesAreThoseOfDovecot lets Dovecot save messages, and compares everything that it has stored about them
// in its cache with what we would have stored.
func TestCachedValuesAreThoseOfDovecot(t *testing.T) {
	for _, test := range []struct {
		name, cached, always, never string
		settings                    string
		args                        []string
	}{
		{"default", "flags", "", "imap.envelope", "", nil},
		{"everything", "flags", everyField, "pop3.uidl", "", nil},
		{"everything, mail_save_crlf", "flags", everyField, "pop3.uidl", "", []string{"--crlf"}},
		{"maildir", "flags", everyField, "pop3.uidl", "mail_location = maildir:~/Maildir", nil},
		{"maildir, mail_save_crlf", "flags", everyField, "pop3.uidl", "mail_location = maildir:~/Maildir", []string{"--crlf"}},
		{"structure only", "imap.bodystructure imap.body", "", "imap.envelope", "", nil},
		{"body only", "imap.body", "", "imap.envelope", "", nil},
		{"new only", everyField, "", "mime.parts", "", nil},
		{"nothing", "flags", "", "*", "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			policy, err := cache.NewPolicy(test.cached, test.always, test.never)
			if err != nil {
				t.Fatal(err)
			}
			var mails [][]byte
			for _, m := range cachedMails {
				mails = append(mails, wire(m))
			}
			compareSaved(t, &policy, test.cached, test.always, test.never, test.settings, mails, test.args...)
		})
	}
}

// TestRandomCachedValuesAreThoseOfDovecot is the same with messages that are hard to read.
func TestRandomCachedValuesAreThoseOfDovecot(t *testing.T) {
	var mails [][]byte
	for _, s := range messagetest.Nasty() {
		mails = append(mails, s.Text)
	}
	for seed := range int64(300) {
		mails = append(mails, messagetest.Random(seed))
	}
	for seed := range int64(200) {
		mails = append(mails, randomText(seed))
	}
	mails = slices.DeleteFunc(mails, func(m []byte) bool {
		return bytes.HasSuffix(m, []byte("\r")) // Dovecot drops it; we store what was sent
	})
	policy, err := cache.NewPolicy("flags", everyField, "pop3.uidl")
	if err != nil {
		t.Fatal(err)
	}
	compareSaved(t, &policy, "flags", everyField, "pop3.uidl", "", mails)
}

// randomText returns a message of which it is hard to make a snippet.
func randomText(seed int64) []byte {
	rnd := rand.New(rand.NewSource(seed))
	pieces := []string{"word ", "> ", "\n", "\n>", " ", "\t", "&amp;", "&#65;", "&#x42;", "&#xd800;", "&nosuch;", "&toolongforanentity;", "& ", "&", ";", "&nbsp;", "&apos;",
		"<", ">", "<b>", "</b>", "<p class=\"a>b\">", "<a href='x\\'y>z'>", "<!-- c -->", "<!-- a -- b -- >", "<!--", "<script>x<y</script>", "<STYLE >s</style>",
		"<![CDATA[<b>]]>", "<blockquote>", "</blockquote>", "<blockquote a>", "<br/>", "<script", "\"", "'", "\\", "gr\u00fc\u00dfe", "\xff\xfe", "\u20ac", "\ufeff", "--", "]]>"}
	var b strings.Builder
	for range rnd.Intn(60) {
		b.WriteString(pieces[rnd.Intn(len(pieces))])
	}
	if seed%5 == 0 {
		b.WriteString(strings.Repeat("some words ", 30))
	}
	kind := []string{"text/html", "text/plain", "text/html", "Text/HTML", "text/x"}[seed%5]
	return wire("Content-Type: " + kind + "; charset=utf-8\nX-A: 1\n\n" + b.String() + "\n")
}

// wire returns a message as it is sent: with CRLF, and CRs alone where they are.
func wire(m string) []byte {
	return []byte(strings.ReplaceAll(strings.ReplaceAll(m, "\r\n", "\r\r\n"), "\n", "\r\n"))
}

// compareSaved lets a Dovecot with the given settings save messages, and compares what its cache has of them with what a
// Describer computes of them as they are sent, and as they are stored.
func compareSaved(t *testing.T, policy *cache.Policy, cached, always, never, settings string, mails [][]byte, args ...string) {
	t.Helper()
	store := mdboxtest.MakeStore(t, append(args, "--content", "fresh")...)
	conf, err := os.OpenFile(store.Conf, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conf, "\nmail_cache_fields = %s\nmail_always_cache_fields = %s\nmail_never_cache_fields = %s\n%s\n", cached, always, never, settings)
	if err := conf.Close(); err != nil {
		t.Fatal(err)
	}
	commands := []string{"CREATE twin"}
	for _, m := range mails {
		commands = append(commands, fmt.Sprintf("APPEND twin {%d+}\r\n%s", len(m), m))
	}
	store.IMAP(t, commands...)

	dir, crlf := store.Mailbox("twin"), false
	if strings.Contains(settings, "maildir:") {
		dir, crlf = filepath.Join(store.Home, "Maildir", ".twin"), slices.Contains(args, "--crlf")
	}
	x, err := index.Open(index.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	state := x.State()
	if state.Len() != len(mails) {
		t.Fatalf("%d messages, want %d", state.Len(), len(mails))
	}
	ext := state.Ext("cache")
	if ext == nil || policy.Off() {
		if ext != nil && binary.LittleEndian.Uint32(ext.Record(0)) != 0 || !policy.Off() {
			t.Fatal("Dovecot has cached something, or nothing")
		}
		return
	}
	files := cache.NewFiles(cache.Config{})
	defer files.Close()
	f, err := files.Open(filepath.Join(dir, "dovecot.index.cache"), state.Header().IndexID(), ext.ResetID)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := f.NewReader()
	for i, m := range mails {
		want, err := r.AppendValues(nil, binary.LittleEndian.Uint32(ext.Record(i)))
		if err != nil {
			t.Fatal(err)
		}
		o := cache.DescribeOptions{Fields: policy.SaveFields(f.Fields()), Policy: policy, Parser: parser{}, HasVSize: state.Ext(index.ExtVSize) != nil}
		for _, v := range want {
			switch v.Field {
			case "date.received":
				o.Received = int64(binary.LittleEndian.Uint32(v.Data))
			case "date.save":
				o.Saved = int64(binary.LittleEndian.Uint32(v.Data))
			}
		}
		what := fmt.Sprintf("message %d (%.60q)", i+1, m)
		if !crlf {
			diffValues(t, what, describe(t, o, m), want)
			m = bytes.ReplaceAll(m, []byte("\r\n"), []byte("\n"))
		}
		o.AsStored = true
		diffValues(t, what+" as stored", describe(t, o, m), want)
	}
}

func describe(t *testing.T, o cache.DescribeOptions, m []byte) []cache.FieldValue {
	d := cache.NewDescriber(o)
	for len(m) > 0 { // in pieces
		n, err := d.Write(m[:min(len(m), 1000)])
		if err != nil {
			t.Fatal(err)
		}
		m = m[n:]
	}
	return d.Values()
}

// diffValues reports the fields of which two lists have different values; their order does not matter.
func diffValues(t *testing.T, what string, got, want []cache.FieldValue) {
	t.Helper()
	find := func(list []cache.FieldValue, name string) ([]byte, bool) {
		for _, v := range list {
			if strings.EqualFold(v.Field, name) {
				return v.Data, true
			}
		}
		return nil, false
	}
	for _, w := range want {
		if g, ok := find(got, w.Field); !ok {
			t.Errorf("%s: %s is missing, want %q", what, w.Field, w.Data)
		} else if !bytes.Equal(g, w.Data) {
			t.Errorf("%s: %s\n got %q\nwant %q", what, w.Field, g, w.Data)
		}
	}
	for _, g := range got {
		if _, ok := find(want, g.Field); !ok {
			t.Errorf("%s: %s = %q, which Dovecot does not store", what, g.Field, g.Data)
		}
	}
}

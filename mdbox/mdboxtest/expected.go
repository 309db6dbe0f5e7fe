package mdboxtest

import (
	"encoding/json"
	"os"
	"testing"
)

// Expected is what Dovecot says is in a store: the content of expected.json, which
// testdata/make_store.py describes.
type Expected struct {
	Dovecot       string                      `json:"dovecot"`
	User          string                      `json:"user"`
	Separator     string                      `json:"separator"`
	Compression   string                      `json:"compression"`
	Subscriptions []string                    `json:"subscriptions"`
	Mailboxes     map[string]*ExpectedMailbox `json:"mailboxes"` // by name, UTF-8
}

// ExpectedMailbox is a mailbox, or a parent without one (NoSelect, nothing else set).
type ExpectedMailbox struct {
	Name          string         `json:"vname"`
	MUTF7         string         `json:"mutf7"`
	Subscribed    bool           `json:"subscribed"`
	NoSelect      bool           `json:"noselect"`
	GUID          string         `json:"guid"`
	UIDValidity   uint32         `json:"uidvalidity"`
	UIDNext       uint32         `json:"uidnext"`
	HighestModSeq uint64         `json:"highestmodseq"`
	Messages      uint32         `json:"messages"`
	Unseen        uint32         `json:"unseen"`
	VSize         uint64         `json:"vsize"`     // bytes
	CondStore     bool           `json:"condstore"` // messages have modseqs of their own
	SpecialUse    []string       `json:"special_use"`
	Mails         []ExpectedMail `json:"mails"` // ascending by UID
}

// ExpectedMail is a message.
type ExpectedMail struct {
	UID          uint32   `json:"uid"`
	Seq          uint32   `json:"seq"`
	GUID         string   `json:"guid"`
	Flags        []string `json:"flags"`    // system flags but \Recent, sorted
	Keywords     []string `json:"keywords"` // sorted
	ModSeq       uint64   `json:"modseq"`
	Received     int64    `json:"received"`      // UNIX time
	Saved        int64    `json:"saved"`         // UNIX time
	SizePhysical uint64   `json:"size_physical"` // bytes, uncompressed, as stored
	SizeVirtual  uint64   `json:"size_virtual"`  // bytes, with CRLF
	Refcount     uint16   `json:"refcount"`
	SHA256       string   `json:"sha256"`      // of BODY[]
	SHA256Body   string   `json:"sha256_body"` // of BODY[TEXT]
	SHA256LF     string   `json:"sha256_lf"`   // of BODY[] with LF line ends
}

// ReadExpected reads an expected.json.
func ReadExpected(t testing.TB, path string) *Expected {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	e := new(Expected)
	if err := json.Unmarshal(b, e); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return e
}

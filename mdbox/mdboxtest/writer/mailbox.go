package writer

import (
	"crypto/sha256"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/translog"
)

// Mailbox writes a mailbox.
type Mailbox struct {
	Dir     string // with dovecot.index.log
	Log     *Log
	NextUID uint32

	t     testing.TB
	store *Store
	guids map[uint32][16]byte // of the messages that are there
	cache *cacheWriter        // nil: none
}

// Mailbox makes a mailbox; name is its storage name.
func (s *Store) Mailbox(name string) *Mailbox {
	s.t.Helper()
	dir := filepath.Join(s.Root, "mailboxes", name, "dbox-Mails")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	m := &Mailbox{Dir: dir, t: s.t, store: s, NextUID: 1, guids: map[uint32][16]byte{}}
	m.Log = NewLog(s.t, filepath.Join(dir, index.DefaultPrefix+".log"))
	sum := sha256.Sum256([]byte(name))
	m.Log.Add(true,
		translog.ExtIntros{{ExtID: translog.ExtIDByName, HdrSize: 24, Name: index.ExtMdboxHeader}},
		translog.ExtHdrUpdates{{Data: index.MdboxHeader{MapUIDValidity: Time, MailboxGUID: [16]byte(sum[:16])}.Append(nil)}},
		header(24, u32(Time)))
	return m
}

// Append saves messages, with CRLF line ends, and returns the first UID.
func (m *Mailbox) Append(flags uint8, msgs ...[]byte) (first uint32) {
	m.t.Helper()
	first = m.NextUID
	refs, guids := translog.NewExtRecUpdates(8), translog.NewExtRecUpdates(16)
	var appends translog.Appends
	for _, st := range m.store.save(msgs) {
		uid := m.NextUID
		m.NextUID++
		m.guids[uid] = st.guid
		appends = append(appends, translog.AppendedMessage{UID: uid, Flags: flags})
		refs.Add(uid, index.MdboxRecord{MapUID: st.mapUID, SaveDate: Time + 1}.Append(nil))
		guids.Add(uid, st.guid[:])
	}
	payloads := []translog.Payload{appends,
		translog.ExtIntros{{ExtID: translog.ExtIDByName, RecordSize: 8, RecordAlign: 4, NoShrink: true, Name: index.ExtMdbox}}, refs,
		translog.ExtIntros{{ExtID: translog.ExtIDByName, RecordSize: 16, RecordAlign: 1, NoShrink: true, Name: index.ExtGUID}}, guids}
	if m.cache != nil {
		payloads = append(payloads, m.cache.add(first, msgs)...)
	}
	m.Log.Add(true, payloads...)
	return first
}

// Flags changes the flags of the UIDs first to last.
func (m *Mailbox) Flags(first, last uint32, add, remove uint8) {
	m.t.Helper()
	m.Log.Add(false, translog.FlagUpdates{{UIDs: translog.UIDRange{First: first, Last: last}, Add: add, Remove: remove}})
}

// Keyword adds a keyword to the UIDs first to last, or removes it.
func (m *Mailbox) Keyword(name string, remove bool, first, last uint32) {
	m.t.Helper()
	m.Log.Add(false, translog.KeywordUpdate{Name: name, Remove: remove, UIDs: []translog.UIDRange{{First: first, Last: last}}})
}

// ResetKeywords removes all keywords of the UIDs first to last.
func (m *Mailbox) ResetKeywords(first, last uint32) {
	m.t.Helper()
	m.Log.Add(false, translog.KeywordReset{{First: first, Last: last}})
}

// Expunge removes a message, with the request before it as a session writes it.
func (m *Mailbox) Expunge(uid uint32) {
	m.t.Helper()
	m.Log.Add(false, translog.ExpungeGUIDs{{UID: uid}})
	m.Log.Add(true, translog.ExpungeGUIDs{{UID: uid, GUID: m.guids[uid]}})
	delete(m.guids, uid)
}

// Has reports whether the message is there.
func (m *Mailbox) Has(uid uint32) bool {
	_, ok := m.guids[uid]
	return ok
}

// EnableModSeqs gives messages modseqs of their own, as the first client that wants them does.
func (m *Mailbox) EnableModSeqs() {
	m.t.Helper()
	m.Log.Add(false,
		translog.ExtIntros{{ExtID: translog.ExtIDByName, HdrSize: 16, RecordSize: 8, RecordAlign: 8, NoShrink: true, Name: "modseq"}},
		translog.ExtHdrUpdates{{Data: index.ModSeqHeader{Highest: m.Log.modSeq}.Append(nil)}})
}

// Tail writes that everything so far was synced: a record that changes nothing a client sees.
func (m *Mailbox) Tail() {
	m.t.Helper()
	m.Log.Add(true, header(64, binary.LittleEndian.AppendUint32(nil, m.Log.Size()+16)))
}

// WriteIndex writes dovecot.index for the current state. Whoever rotates the log does that.
func (m *Mailbox) WriteIndex() {
	m.t.Helper()
	x, err := index.Open(index.Options{Dir: m.Dir})
	if err != nil {
		m.t.Fatal(err)
	}
	path := filepath.Join(m.Dir, index.DefaultPrefix)
	if err := os.WriteFile(path+".tmp", x.State().AppendSnapshot(nil), 0o600); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		m.t.Fatal(err)
	}
}

// Rotate rotates the log and writes dovecot.index.
func (m *Mailbox) Rotate() {
	m.t.Helper()
	m.Log.Rotate()
	m.WriteIndex()
}

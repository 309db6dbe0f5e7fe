package lies

import (
	"fmt"
	"io"
	"strings"

	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// garbage answers with what is no protobuf.
func garbage(_ int, _ []byte, send func([]byte) error) error { return send([]byte("garbage\xff\xff")) }

// silence does not answer.
func silence(int, []byte, func([]byte) error) error { return errSilence }

// nothing ends the answer before it has begun.
func nothing(int, []byte, func([]byte) error) error { return io.EOF }

// first is an edit of the first response.
func first[T any](change func(m *T)) func(int, *T) {
	return func(n int, m *T) {
		if n == 0 {
			change(m)
		}
	}
}

// extensions are the lies of the calls that write, and of those that need a capability.
var extensions = []story{
	{name: "a highest modseq that goes back", method: "Changes", command: "NOOP", harmless: true,
		lie: changes(func(*changeResponse) []*changeResponse {
			return []*changeResponse{{Header: &storagev1.ChangesHeader{UidNext: 4, HighestModSeq: 1, Position: []byte("later")}}}
		})},
	{name: "a UIDNEXT that goes back", method: "Changes", command: "NOOP", harmless: true,
		lie: changes(func(*changeResponse) []*changeResponse {
			return []*changeResponse{{Header: &storagev1.ChangesHeader{UidNext: 2, HighestModSeq: 50, Position: []byte("later")}}}
		})},
	{name: "an expunge of a message that is not there", method: "Changes", command: "NOOP", harmless: true, never: "EXPUNGE",
		lie: changes(func(*changeResponse) []*changeResponse {
			return []*changeResponse{{Header: &storagev1.ChangesHeader{UidNext: 100, HighestModSeq: 50, Position: []byte("later"), ExpungedCount: 1}}, {Expunged: uids(9)}}
		})},

	{name: "an appended message without UID", method: "Append", command: "APPEND Other {5+}\r\nhello", log: "UID 0 after UID 0",
		lie: edit(func(_ int, m *storagev1.AppendResponse) { m.Uids = uids(0) })},
	{name: "two UIDs for one appended message", method: "Append", command: "APPEND Other {5+}\r\nhello", log: "column uids of 8 bytes for 1 messages",
		lie: edit(func(_ int, m *storagev1.AppendResponse) { m.Uids = uids(50, 51) })},
	{name: "an append without UIDVALIDITY", method: "Append", command: "APPEND Other {5+}\r\nhello", log: "uid_validity is 0",
		lie: edit(func(_ int, m *storagev1.AppendResponse) { m.UidValidity = 0 })},
	{name: "an append that is not answered", method: "Append", command: "APPEND Other {5+}\r\nhello", log: "plugin_answer_timeout", lie: silence},
	{name: "a message that takes the place of another without UID", method: "Append", before: []string{"SELECT Bin"}, command: "REPLACE 1 Bin {5+}\r\nhello", log: "column uids of 0 bytes for 1 messages",
		lie: edit(func(_ int, m *storagev1.AppendResponse) { m.Uids = nil })},

	{name: "a store without header", method: "Store", command: `STORE 1 +FLAGS (\Flagged)`, log: "without header",
		lie: edit(first(func(m *storagev1.StoreResponse) { m.Header = nil }))},
	{name: "a conflict that was not possible", method: "Store", command: `STORE 1 +FLAGS (\Answered)`, log: "modified messages without unchanged_since",
		lie: edit(first(func(m *storagev1.StoreResponse) { m.Header = &storagev1.StoreHeader{ModifiedCount: 1} }))},
	{name: "a conflict of a message that was not asked for", method: "Store", command: `STORE 1 (UNCHANGEDSINCE 99) +FLAGS (\Draft)`, log: "UID 3 was not asked for",
		lie: func(_ int, _ []byte, send func([]byte) error) error {
			for _, m := range []*storagev1.StoreResponse{{Header: &storagev1.StoreHeader{ModifiedCount: 1}}, {Modified: uids(3)}} {
				if err := send(marshal(m)); err != nil {
					return err
				}
			}
			return io.EOF
		}},
	{name: "a store that is not answered", method: "Store", command: `STORE 2 +FLAGS (\Flagged)`, log: "plugin_answer_timeout", lie: silence},

	{name: "an expunge of a message that was not asked for", method: "Expunge", before: []string{"SELECT Bin", `STORE 1 +FLAGS (\Deleted)`}, command: "EXPUNGE", log: "UID 99 was not asked for",
		lie: func(_ int, _ []byte, send func([]byte) error) error {
			for _, m := range []*storagev1.ExpungeResponse{{Header: &storagev1.ExpungeHeader{ExpungedCount: 1}}, {Expunged: uids(99)}} {
				if err := send(marshal(m)); err != nil {
					return err
				}
			}
			return io.EOF
		}},
	{name: "an expunge of garbage", method: "Expunge", before: []string{"SELECT Bin", `STORE 1 +FLAGS (\Deleted)`}, command: "EXPUNGE", log: "liar", lie: garbage},
	{name: "a move of nothing that was asked for", method: "Copy", before: []string{"SELECT Bin"}, command: "MOVE 1 Other", log: "source: UID 99 was not asked for",
		lie: edit(func(_ int, m *storagev1.CopyResponse) {
			if len(m.Source) > 0 {
				m.Source = uids(99)
			}
		})},

	{name: "modseqs without header", method: "EnableModSeqs", command: "SELECT Old (CONDSTORE)", log: "without header", harmless: true,
		lie: edit(first(func(m *storagev1.EnableModSeqsResponse) { m.Header = nil }))},
	{name: "modseqs that are not answered", method: "EnableModSeqs", command: "SELECT Older (CONDSTORE)", log: "no response", harmless: true, lie: nothing},
	{name: "ranges of what is not known", method: "Expunged", before: qresync, command: "SELECT Other (QRESYNC (1002 1))", log: "ranges of what is not known",
		lie: edit(first(func(m *storagev1.ExpungedResponse) { m.Header = &storagev1.ExpungedHeader{RangeCount: 1} }))},
	{name: "ranges out of order", method: "Expunged", before: qresync, command: "SELECT Other (QRESYNC (1002 1))", log: "range 7:8 after UID 9", lie: ranges(8, 9, 7, 8)},
	{name: "messages that are there and were expunged", method: "Expunged", before: qresync, command: "SELECT Other (QRESYNC (1002 1))", harmless: true, never: "VANISHED (EARLIER) 1", lie: ranges(1, 3)},
	{name: "messages that were expunged and never there", method: "Expunged", before: qresync, command: "SELECT Other (QRESYNC (1002 1))", harmless: true, never: "4294967295", lie: ranges(1<<31, 1<<32-1)},

	{name: "an annotation that was not asked for", method: "GetMetadata", before: annotated, command: "GETMETADATA INBOX /private/comment", log: "was not asked for",
		lie: edit(func(_ int, m *storagev1.GetMetadataResponse) { m.Entries[0].Name = "/private/vendor/roost" })},
	{name: "annotations of another mailbox", method: "GetMetadata", before: annotated, command: "GETMETADATA INBOX /private/comment", log: "mailbox 7 of 1",
		lie: edit(func(_ int, m *storagev1.GetMetadataResponse) { m.Mailbox = 7 })},
	{name: "an annotation twice", method: "GetMetadata", before: annotated, command: "GETMETADATA INBOX /private/comment", log: "out of order",
		lie: edit(func(_ int, m *storagev1.GetMetadataResponse) { m.Entries = append(m.Entries, m.Entries...) })},
	{name: "annotations without end", method: "GetMetadata", before: annotated, command: "GETMETADATA (DEPTH infinity) INBOX /private", log: "plugin_max_answer",
		lie: func(_ int, _ []byte, send func([]byte) error) error {
			for i := 0; ; i++ {
				e := &storagev1.MetadataEntry{Name: fmt.Sprintf("/private/vendor/%09d", i), Value: make([]byte, 1<<10)}
				if err := send(marshal(&storagev1.GetMetadataResponse{Entries: []*storagev1.MetadataEntry{e}})); err != nil {
					return err
				}
			}
		}},
	{name: "an annotation that is garbage", method: "SetMetadata", command: `SETMETADATA INBOX (/private/comment "x")`, log: "liar", lie: garbage},

	{name: "rights of two mailboxes", method: "MyRights", command: "MYRIGHTS Other", log: "2 elements for 1 names",
		lie: edit(func(_ int, m *storagev1.MyRightsResponse) { m.Mailboxes = append(m.Mailboxes, m.Mailboxes[0]) })},
	{name: "rights that do not exist", method: "MyRights", command: "MYRIGHTS Other", harmless: true,
		lie: edit(func(_ int, m *storagev1.MyRightsResponse) { m.Mailboxes[0].Rights = 1<<32 - 1 })},
	{name: "an identifier that ends the line", method: "GetACL", command: "GETACL Other", harmless: true, never: "* BYE",
		lie: edit(func(_ int, m *storagev1.GetACLResponse) {
			m.Entries = append(m.Entries, &storagev1.ACLEntry{Identifier: "eve lr\r\n* OK done\r\nx OK", Rights: 1})
		})},
	{name: "a list that is garbage", method: "SetACL", command: "SETACL Other eve lr", log: "liar", lie: garbage},
	{name: "an entry that is not removed", method: "DeleteACL", command: "DELETEACL Other eve", log: "plugin_answer_timeout", lie: silence},

	{name: "a quota of nothing that there is", method: "GetQuota", command: "GETQUOTAROOT INBOX", log: "unknown kind 99 of resource",
		lie: edit(func(_ int, m *storagev1.GetQuotaResponse) { m.Roots[0].Resources[0].Kind = 99 })},
	{name: "a quota of more than 63 bits", method: "GetQuota", command: "GETQUOTAROOT INBOX", log: "usage 18446744073709551615",
		lie: edit(func(_ int, m *storagev1.GetQuotaResponse) { m.Roots[0].Resources[0].Usage = 1<<64 - 1 })},
	{name: "a quota root that ends the line", method: "GetQuota", command: "GETQUOTAROOT INBOX", harmless: true,
		lie: edit(func(_ int, m *storagev1.GetQuotaResponse) { m.Roots[0].Name = "a\r\nx OK done" })},

	{name: "a preview longer than the answer", method: "Fetch", command: "FETCH 1 (PREVIEW)", log: "lengths add up to",
		lie: edit(func(_ int, m *fetchResponse) { m.PreviewLengths = uids(1 << 30) })},
	{name: "a column of previews that is too short", method: "Fetch", command: "FETCH 1:3 (PREVIEW)", log: "column preview_lengths has 4 bytes for 3 messages",
		lie: edit(func(_ int, m *fetchResponse) { m.PreviewLengths = uids(1) })},
	{name: "a column of save dates that is too short", method: "Fetch", command: "FETCH 1:3 (SAVEDATE)", log: "column save_dates has 8 bytes for 3 messages",
		lie: edit(func(_ int, m *fetchResponse) { m.SaveDates = sizes(1) })},
	{name: "a date that there is none of", method: "Fetch", command: "FETCH 1 (INTERNALDATE)", harmless: true,
		lie: edit(func(_ int, m *fetchResponse) { m.InternalDates = sizes(1 << 63) })},
	{name: "a save date that there is none of", method: "Fetch", command: "FETCH 1 (SAVEDATE)", harmless: true,
		lie: edit(func(_ int, m *fetchResponse) { m.SaveDates = sizes(1<<63 - 1) })},
	{name: "a mailbox ID of another length", method: "Status", command: "STATUS Other (MAILBOXID)", log: "mailbox_id of 3 bytes",
		lie: edit(func(_ int, m *storagev1.StatusResponse) { m.Mailboxes[0].MailboxId = []byte("abc") })},

	{name: "names that are long", method: "ListMailboxes", command: `LIST "" *`, log: "plugin_max_answer",
		lie: func(_ int, _ []byte, send func([]byte) error) error {
			for i := 0; ; i++ {
				m := &storagev1.MailboxInfo{Name: fmt.Sprintf("%09d%s", i, strings.Repeat("x", 1<<16))}
				if err := send(marshal(&storagev1.ListMailboxesResponse{Mailboxes: []*storagev1.MailboxInfo{m}})); err != nil {
					return err
				}
			}
		}},
	{name: "a new mailbox that is garbage", method: "CreateMailbox", command: "CREATE New", log: "liar", lie: garbage},
	{name: "a rename that is not answered", method: "RenameMailbox", command: "RENAME New Newer", log: "plugin_answer_timeout", lie: silence},
	{name: "a subscription that is garbage", method: "Subscribe", command: "SUBSCRIBE Other", log: "liar", lie: garbage},
	{name: "a deletion that is garbage", method: "DeleteMailbox", command: "DELETE Newer", log: "liar", lie: garbage},
	{name: "an answer twice", method: "Subscribe", command: "UNSUBSCRIBE Other", harmless: true,
		lie: func(_ int, b []byte, send func([]byte) error) error {
			if err := send(b); err != nil {
				return err
			}
			return send(b)
		}},
}

var (
	qresync   = []string{"ENABLE QRESYNC", "UNSELECT"}
	annotated = []string{`SETMETADATA INBOX (/private/comment "x")`}
)

// ranges is a lie about which UIDs were expunged: first and last of each range.
func ranges(v ...uint32) lie {
	return func(_ int, _ []byte, send func([]byte) error) error {
		for _, m := range []*storagev1.ExpungedResponse{{Header: &storagev1.ExpungedHeader{Known: true, RangeCount: uint32(len(v) / 2)}}, {Ranges: uids(v...)}} {
			if err := send(marshal(m)); err != nil {
				return err
			}
		}
		return io.EOF
	}
}

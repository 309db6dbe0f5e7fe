package translog

import "encoding/binary"

// modSeqExtName is the name of the extension with the modseqs of messages.
const modSeqExtName = "modseq"

// NextModSeq returns the highest modseq of an index after record r, given the
// one before it and the minor version of r's log file.
//
// It counts records, not messages: one more for every record that may have
// changed something a client can see, whether or not it did. In logs that are
// older than modseqs (cur is 0) counting starts with the intro of the modseq
// extension.
//
// Source: dovecot src/lib-index/mail-transaction-log-file.c, mail_transaction_update_modseq.
func NextModSeq(cur uint64, r *Record, minorVersion uint8) uint64 {
	if cur == 0 {
		if introducesModSeq(r) {
			return 1
		}
		return 0
	}
	switch r.Header.Type {
	case TypeAppend, TypeKeywordUpdate, TypeKeywordReset, TypeAttributeUpdate:
		return cur + 1
	case TypeExpunge, TypeExpungeGUID:
		if r.Header.External {
			return cur + 1
		}
	case TypeFlagUpdate:
		if minorVersion < minorInternalFlags || hasVisibleFlagUpdate(r.Payload) {
			return cur + 1
		}
	case TypeModSeqUpdate:
		for b := r.Payload; len(b) >= modSeqUpdateSize; b = b[modSeqUpdateSize:] {
			cur = max(cur, binary.LittleEndian.Uint64(b[4:]))
		}
	}
	return cur
}

func hasVisibleFlagUpdate(b []byte) bool {
	for ; len(b) >= flagUpdateSize; b = b[flagUpdateSize:] {
		u := FlagUpdate{Add: b[8], Remove: b[9], ModSeqInc: b[10]}
		if !u.Internal() {
			return true
		}
	}
	return false
}

func introducesModSeq(r *Record) bool {
	if r.Header.Type != TypeExtIntro {
		return false
	}
	is, err := decodeExtIntros(r.Payload)
	if err != nil {
		return false
	}
	for _, i := range is {
		if i.Name == modSeqExtName {
			return true
		}
	}
	return false
}

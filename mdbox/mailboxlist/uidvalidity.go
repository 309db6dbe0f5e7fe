package mailboxlist

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/roostmail/roost/mdbox/vfs"
)

// UIDVALIDITY allocation (dovecot src/lib-storage/mailbox-uidvalidity.c): two
// files in the control root,
//
//	dovecot-uidvalidity            8 lower-case hex digits, no LF: the last value used
//	dovecot-uidvalidity.<8 hex>    empty; renaming it to the next value is the lock
const (
	uidValidityName   = "dovecot-uidvalidity"
	uidValidityDigits = 8
)

// DecodeUIDValidity decodes the content of dovecot-uidvalidity. 0 is never used.
func DecodeUIDValidity(b []byte) (uint32, error) {
	v, ok := parseUIDValidity(string(b))
	if !ok {
		return 0, vfs.Corrupt(0, "UIDVALIDITY is %d lower-case hex digits, not all 0", uidValidityDigits)
	}
	return v, nil
}

func parseUIDValidity(s string) (uint32, bool) {
	if len(s) != uidValidityDigits || strings.Trim(s, "0123456789abcdef") != "" {
		return 0, false
	}
	v, err := strconv.ParseUint(s, 16, 32)
	return uint32(v), err == nil && v != 0
}

// AppendUIDValidity is the inverse of DecodeUIDValidity.
func AppendUIDValidity(b []byte, v uint32) []byte {
	for shift := 28; shift >= 0; shift -= 4 {
		b = append(b, "0123456789abcdef"[v>>shift&15])
	}
	return b
}

// LastUIDValidity returns the last value used in the control root dir, for which
// the highest file name counts if the file itself is missing or broken; 0 if there is none.
func LastUIDValidity(fsys vfs.FS, dir string) (uint32, error) {
	b, err := vfs.ReadFile(fsys, filepath.Join(dir, uidValidityName), uidValidityDigits)
	if err == nil {
		if v, err := DecodeUIDValidity(b); err == nil {
			return v, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, vfs.ErrTooLarge) {
		return 0, err
	}
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	var last uint32
	for _, e := range entries {
		if hex, ok := strings.CutPrefix(e.Name(), uidValidityName+"."); ok {
			v, _ := parseUIDValidity(hex)
			last = max(last, v)
		}
	}
	return last, nil
}

package maildir

import (
	"bytes"
	"strconv"
	"strings"
)

// MaxKeywords is how many keywords a file name has letters for. Others are only in the index.
const MaxKeywords = 26

// Keywords is the content of a dovecot-keywords: the name of the keyword for each letter, "" = none.
//
//	<number> <name>LF…	number 0 is the letter 'a'
//
// Numbers are never given to another name while a file can have the letter.
//
// Format: dovecot src/lib-storage/index/maildir/maildir-keywords.c.
type Keywords [MaxKeywords]string

// DecodeKeywords decodes a file. Lines of another form, and with a name that an earlier one has, are ignored, as by Dovecot. Line ends
// may be CRLF.
func DecodeKeywords(b []byte) (k Keywords) {
	for line := range bytes.SplitSeq(b, []byte{'\n'}) {
		number, name, ok := strings.Cut(strings.TrimRight(string(line), "\r"), " ")
		n, err := strconv.ParseUint(number, 10, 8)
		if ok && err == nil && n < MaxKeywords && name != "" && k.Letter(name) == 0 {
			k[n] = name
		}
	}
	return k
}

// Append appends the file to b.
func (k *Keywords) Append(b []byte) []byte {
	for i, name := range k {
		if name != "" {
			b = strconv.AppendInt(b, int64(i), 10)
			b = append(b, ' ')
			b = append(b, name...)
			b = append(b, '\n')
		}
	}
	return b
}

// Letter returns the letter of a keyword, in whatever case, as a set; none if it has no letter.
func (k *Keywords) Letter(name string) Letters {
	for i := range k {
		if k[i] != "" && strings.EqualFold(k[i], name) {
			return 1 << i
		}
	}
	return 0
}

// Known has the letters that have a name.
func (k *Keywords) Known() (known Letters) {
	for i := range k {
		if k[i] != "" {
			known |= 1 << i
		}
	}
	return known
}

// add gives a keyword a letter that has no name and is not used, and returns it. If there is none left, or the name can not
// be in the file, there is no letter for it.
func (k *Keywords) add(name string, used Letters) Letters {
	if name == "" || strings.ContainsAny(name, "\r\n\x00") {
		return 0
	}
	for i := range k {
		if k[i] == "" && used&(1<<i) == 0 {
			k[i] = name
			return 1 << i
		}
	}
	return 0
}

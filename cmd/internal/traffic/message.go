package traffic

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
)

// newMessage returns a message with a token, of a size that real mail has.
func newMessage(rng *rand.Rand, token string) []byte {
	size := 100 + rng.IntN(4000)
	switch rng.IntN(20) {
	case 0:
		size = 30_000 + rng.IntN(30_000)
	case 1:
		size = 150_000 + rng.IntN(100_000)
	}
	var body strings.Builder
	for body.Len() < size {
		fmt.Fprintf(&body, "%s line %d %x\r\n", token, body.Len(), rng.Uint64())
	}
	return fmt.Appendf(nil, "From: %s <a@example.org>\r\nTo: b@example.org\r\nSubject: about %s\r\nX-Token: %s\r\nX-Sum: %s\r\n"+
		"Date: Thu, 01 Feb 2024 09:00:00 +0100\r\nMessage-ID: <%s@example.org>\r\n\r\n%s", token, token, token, sum([]byte(body.String())), token, body.String())
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// check returns the token of a message, or an error if it is not as it was made.
func check(msg []byte) (token string, err error) {
	head, body, ok := bytes.Cut(msg, []byte("\r\n\r\n"))
	if !ok {
		return "", fmt.Errorf("message has no header: %.100q", msg)
	}
	token, want := field(head, "X-Token"), field(head, "X-Sum")
	if token == "" || want != sum(body) {
		return token, fmt.Errorf("message %q of %d bytes is not what was saved", token, len(msg))
	}
	return token, nil
}

func field(head []byte, name string) string {
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		if value, ok := bytes.CutPrefix(line, []byte(name+": ")); ok {
			return string(value)
		}
	}
	return ""
}

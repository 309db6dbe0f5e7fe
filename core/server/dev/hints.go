package dev

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
)

// Hints writes what to type next. imap and imaps are the addresses that are listened at; admin may be nil.
func Hints(w io.Writer, dir string, imap, imaps []net.Addr, admin net.Addr) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nroost serves the sample store in %s: user %s, password %s\n\n", dir, User, Password)
	for _, a := range imap {
		fmt.Fprintf(&b, "  IMAP with STARTTLS   %s\n", a)
	}
	for _, a := range imaps {
		fmt.Fprintf(&b, "  IMAP over TLS        %s\n", a)
	}
	if admin != nil {
		fmt.Fprintf(&b, "  status page          http://%s/   http://%s/metrics\n", admin, admin)
	}
	if len(imaps) > 0 {
		curl := fmt.Sprintf("  curl --cacert %s --user %s:%s 'imaps://%s/", filepath.Join(dir, "cert.pem"), User, Password, imaps[0])
		b.WriteString("\nList the mailboxes, list the messages, fetch one, search:\n\n")
		fmt.Fprintf(&b, "%s'\n", curl)
		fmt.Fprintf(&b, "%sINBOX' -X 'FETCH 1:* (FLAGS ENVELOPE)'\n", curl)
		fmt.Fprintf(&b, "%sINBOX;UID=1'\n", curl)
		fmt.Fprintf(&b, "%sINBOX?FLAGGED'\n", curl)
	}
	b.WriteString("\nCtrl-C ends it.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

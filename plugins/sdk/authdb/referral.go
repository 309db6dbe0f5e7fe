package authdb

import (
	"net"
	"net/url"
	"strings"

	"github.com/roostmail/roost/core/backend"
)

// NoLogin returns the error for a user with the extra field nologin. Of the fields, reason is the text, and host and port make a
// referral to the server on which the user is to log in (RFC 2221).
func NoLogin(user string, fields map[string]string) *backend.Error {
	e := &backend.Error{Kind: backend.KindAuthDenied, Message: fields["reason"], Detail: "nologin is set"}
	host := fields["host"]
	if host != "" {
		if port := fields["port"]; port != "" {
			host = net.JoinHostPort(host, port)
		}
		// RFC 5092 §3.2: any mechanism
		e.Referral = "imap://" + strings.ReplaceAll(url.PathEscape(user), ":", "%3A") + ";AUTH=*@" + host + "/"
	}
	if e.Message == "" && host != "" {
		e.Message = "Try this server instead"
	} else if e.Message == "" {
		e.Message = "Login is disabled"
	}
	return e
}

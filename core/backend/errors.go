package backend

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// ErrorKind says what a caller may do about an error. The list is closed and
// append-only: the numbers travel between processes (proto roost.plugin.v1.ErrorKind).
type ErrorKind uint8

// Error kinds. The IMAP response code each one becomes stands in core/imap.
const (
	KindInternal        ErrorKind = 0  // a bug or an unclassified failure; retrying may help
	KindNotFound        ErrorKind = 1  // no such mailbox or user
	KindAlreadyExists   ErrorKind = 2  // the mailbox exists already
	KindReadOnly        ErrorKind = 3  // the storage or mailbox can not be written
	KindNoPermission    ErrorKind = 4  // the user may not do this
	KindOverQuota       ErrorKind = 5  // quota or disk space is used up
	KindCorrupted       ErrorKind = 6  // stored data is damaged; Detail names file, offset and rule
	KindExpunged        ErrorKind = 7  // the message is gone
	KindUnavailable     ErrorKind = 8  // the plugin or what it needs is down; retry later
	KindUnsupported     ErrorKind = 9  // not implemented by this plugin
	KindInvalidArgument ErrorKind = 10 // the request itself is wrong (for example a forbidden mailbox name)
	KindInUse           ErrorKind = 11 // a lock could not be had in time
	KindLimit           ErrorKind = 12 // a configured limit was reached; Message names the setting
	KindAuthFailed      ErrorKind = 13 // wrong user or password
	KindAuthDenied      ErrorKind = 14 // right password, but login is refused (nologin, allow_nets, disabled)
	KindAuthExpired     ErrorKind = 15 // right password, but it has expired
	KindCancelled       ErrorKind = 16 // the caller's context ended; the plugin is well
)

var kindNames = [...]string{"internal", "not found", "already exists", "read-only", "no permission", "over quota", "corrupted",
	"expunged", "unavailable", "unsupported", "invalid argument", "in use", "limit", "authentication failed",
	"authentication denied", "password expired", "cancelled"}

func (k ErrorKind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Error is the only error type that crosses the plugin boundary.
//
// Message may be shown to a client: no paths, no secrets. Detail is for the
// administrator's log: path, offset, rule. Cause does not cross processes.
type Error struct {
	Kind    ErrorKind
	Message string
	Detail  string
	Cause   error
	// Referral, of KindAuthDenied, is the IMAP URL (RFC 5092) of the server on which the user is to log in (RFC 2221); "" = none.
	Referral string
	// Option, of an error of Configure, is the name of the option that is wrong; "" = none in particular. core adds where it stands.
	Option string
}

func (e *Error) Error() string {
	s := e.Message
	if s == "" {
		s = e.Kind.String()
	}
	if detail := e.FullDetail(); detail != "" {
		s += ": " + detail
	}
	return s
}

// FullDetail returns Detail with the text of Cause, if it has that not already.
func (e *Error) FullDetail() string {
	switch {
	case e.Cause == nil:
		return e.Detail
	case e.Detail == "":
		return e.Cause.Error()
	case strings.Contains(e.Detail, e.Cause.Error()):
		return e.Detail
	}
	return e.Detail + ": " + e.Cause.Error()
}

func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes an *Error whose message is for the client.
func Errorf(kind ErrorKind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// OptionErrorf makes the error of a Configure that does not like the value of an option. The text need not name the option.
func OptionErrorf(option, format string, args ...any) *Error {
	return &Error{Kind: KindInvalidArgument, Option: option, Message: "option " + option + ": " + fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of err: that of the *Error in its chain,
// KindCancelled for a context error, else KindInternal. It must not be called with nil.
func KindOf(err error) ErrorKind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return KindCancelled
	}
	return KindInternal
}

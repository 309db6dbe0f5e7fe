package tls13

import "strconv"

// Alert is an AlertDescription, RFC 8446 §6.
type Alert uint8

// The alerts that this package sends or tells apart.
const (
	CloseNotify       Alert = 0
	UnexpectedMessage Alert = 10
	BadRecordMAC      Alert = 20
	RecordOverflow    Alert = 22
	IllegalParameter  Alert = 47
	DecodeError       Alert = 50
	InternalError     Alert = 80
	userCanceled      Alert = 90
)

// String returns the name in RFC 8446, or the number.
func (a Alert) String() string {
	switch a {
	case CloseNotify:
		return "close_notify"
	case UnexpectedMessage:
		return "unexpected_message"
	case BadRecordMAC:
		return "bad_record_mac"
	case RecordOverflow:
		return "record_overflow"
	case IllegalParameter:
		return "illegal_parameter"
	case DecodeError:
		return "decode_error"
	case InternalError:
		return "internal_error"
	case userCanceled:
		return "user_canceled"
	}
	return "alert " + strconv.Itoa(int(a))
}

// Error is why a connection ends.
type Error struct {
	Alert  Alert
	Remote bool   // the peer has sent the alert; else this side should
	Reason string // of this side
}

// Error implements error.
func (e *Error) Error() string {
	if e.Remote {
		return "tls13: the client has sent the alert " + e.Alert.String()
	}
	return "tls13: " + e.Alert.String() + ": " + e.Reason
}

// alertLevel returns the legacy level of an alert that is sent, RFC 8446 §6: warning for close_notify, else fatal.
func (a Alert) alertLevel() byte {
	if a == CloseNotify {
		return 1
	}
	return 2
}

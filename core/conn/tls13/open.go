package tls13

import "io"

// Open opens the record at the front of wire, in place: used bytes of wire are done with, and data, which may be empty, is what
// the record has brought. It lies within these bytes. used 0 without an error: the record is not complete.
//
// The error is io.EOF from the peer's close_notify on; what follows it is ignored (RFC 8446 §6.1). Any other is an *Error and final;
// unless it is Remote, SealAlert should send its alert. Then all calls fail.
func (l *Layer) Open(wire []byte) (data []byte, used int, err error) {
	in := &l.State.in
	switch {
	case in.flags&flagBroken != 0:
		return nil, 0, &Error{Alert: InternalError, Reason: "the connection has failed before"}
	case in.flags&flagEnded != 0:
		return nil, 0, io.EOF
	}
	n, err := recordSize(wire)
	if err == nil && (n == 0 || len(wire) < n) {
		return nil, 0, nil
	}
	if err == nil {
		data, err = l.open(wire[:n])
	}
	switch err {
	case nil:
		return data, n, nil
	case io.EOF:
		in.flags |= flagEnded
	default:
		in.flags |= flagBroken
	}
	return nil, 0, err
}

// Complete reports whether the first record in wire is complete, or known to be refused: Open makes something of it.
func Complete(wire []byte) bool {
	n, err := recordSize(wire)
	return err != nil || n > 0 && len(wire) >= n
}

// recordSize returns the size of the record that wire begins with, or 0 if less than its header is there.
func recordSize(wire []byte) (int, error) {
	// RFC 8446 §5.2: protected records are of the type application_data; §5: a change_cipher_spec after Finished is an unexpected
	// record, as are those of all other types, since nothing is sent unprotected any more. The type is looked at as
	// soon as it is there, and refused without waiting for the rest.
	if len(wire) > 0 && contentType(wire[0]) != typeApplicationData {
		return 0, refuse(UnexpectedMessage, "record of an unexpected type")
	}
	if len(wire) < HeaderSize {
		return 0, nil
	}
	// legacy_record_version is ignored (§5.1), but authenticated as it is (§5.2).
	n := int(wire[3])<<8 | int(wire[4])
	if n > maxCiphertext { // §5.2
		return 0, refuse(RecordOverflow, "record is too long")
	}
	return HeaderSize + n, nil
}

func refuse(a Alert, reason string) error { return &Error{Alert: a, Reason: reason} }

// open opens a whole record, RFC 8446 §5.2, and deals with its content.
func (l *Layer) open(record []byte) (data []byte, err error) {
	in := &l.State.in
	aead, err := in.cipher(&l.opener)
	if err != nil {
		return nil, refuse(InternalError, err.Error())
	}
	if in.seq+1 == 0 { // §5.3
		return nil, refuse(InternalError, "no sequence number is left")
	}
	in.nonce(&l.nonce)
	in.seq++
	body := record[HeaderSize:]
	inner, err := aead.Open(body[:0], l.nonce[:], body, record[:HeaderSize])
	if err != nil { // also if it is shorter than a tag
		return nil, refuse(BadRecordMAC, "record can not be opened")
	}
	if len(inner) > MaxPlaintext+1 { // §5.4
		return nil, refuse(RecordOverflow, "content is too long")
	}
	t, content := unpad(inner)
	if in.fragment > 0 && t != typeHandshake { // §5.1
		return nil, refuse(UnexpectedMessage, "something else within a handshake message")
	}
	switch {
	case t == typeApplicationData && len(content) > 0:
		in.idle = 0
		return content, nil
	case t == typeApplicationData:
	case t == typeAlert:
		err = in.alert(content)
	case t == typeHandshake:
		err = l.handshake(content)
	default: // 0: nothing but zeros (§5.4); change_cipher_spec must not be protected (§5); others are unknown
		err = refuse(UnexpectedMessage, "content of an unexpected type")
	}
	if err != nil {
		return nil, err
	}
	if in.idle++; in.idle > maxIdle {
		return nil, refuse(UnexpectedMessage, "too many records without data")
	}
	return nil, nil
}

// unpad splits a TLSInnerPlaintext, RFC 8446 §5.4: the type is the last byte that is not zero. Type 0: there is none.
func unpad(inner []byte) (contentType, []byte) {
	for i := len(inner) - 1; i >= 0; i-- {
		if inner[i] != 0 {
			return contentType(inner[i]), inner[:i]
		}
	}
	return 0, nil
}

// alert takes an alert, RFC 8446 §6.
func (h *half) alert(content []byte) error {
	switch {
	case len(content) == 0: // §5.4
		return refuse(UnexpectedMessage, "empty alert")
	case len(content) != 2: // §5.1: neither fragmented nor coalesced; §6: what can not be parsed
		return refuse(DecodeError, "alert of an unexpected length")
	}
	switch a := Alert(content[1]); a { // the level is ignored
	case CloseNotify:
		return io.EOF
	case userCanceled: // §6.1: no error; close_notify should follow
		return nil
	default: // §6: all others, known or not, are errors
		return &Error{Alert: a, Remote: true}
	}
}

// handshake takes a handshake message or a part of one. A client may send KeyUpdate only, RFC 8446 §4.6.
func (l *Layer) handshake(content []byte) error {
	in := &l.State.in
	if len(content) == 0 { // §5.1, §5.4
		return refuse(UnexpectedMessage, "empty handshake record")
	}
	for len(content) > 0 && int(in.fragment) < len(keyUpdate) {
		if content[0] != keyUpdate[in.fragment] {
			if in.fragment == 0 {
				return refuse(UnexpectedMessage, "unexpected handshake message")
			}
			return refuse(DecodeError, "KeyUpdate of an unexpected length") // §6
		}
		in.fragment++
		content = content[1:]
	}
	switch {
	case len(content) == 0:
		return nil // the rest is in the next record
	case len(content) > 1: // §5.1: a key changes at the end of a record
		return refuse(UnexpectedMessage, "something behind a KeyUpdate in its record")
	case content[0] > 1: // §4.6.3
		return refuse(IllegalParameter, "KeyUpdate with an unknown request")
	}
	if content[0] == 1 {
		l.State.out.flags |= flagOwed // if output has not ended, it is answered by the next Seal
	}
	in.fragment = 0
	l.opener = nil
	if err := in.update(); err != nil {
		return refuse(InternalError, err.Error())
	}
	return nil
}

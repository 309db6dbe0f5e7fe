package tls13

import (
	"errors"
	"slices"
)

// ErrClosed: nothing can be sealed after an alert was sent, or, but an alert, after Open has failed.
var ErrClosed = errors.New("tls13: closed")

// Seal appends data to dst, as records of up to MaxPlaintext bytes without padding, behind the answer to a KeyUpdate if one
// is owed: it comes before the next application data (RFC 8446 §4.6.3). With no data, it appends no more than that.
//
// dst and data must not overlap. An error (ErrClosed, or that the key could not be used) is final: what dst has got is not to be sent.
func (l *Layer) Seal(dst, data []byte) ([]byte, error) {
	out := &l.State.out
	if out.flags&flagEnded != 0 || l.State.in.flags&flagBroken != 0 { // RFC 8446 §6.2: no more data after an error
		return dst, ErrClosed
	}
	var err error
	for {
		if out.flags&flagOwed != 0 || len(data) > 0 && out.seq >= maxRecordsPerKey {
			if dst, err = l.updateKey(dst); err != nil {
				return dst, err
			}
		}
		n := min(len(data), MaxPlaintext)
		if n == 0 {
			return dst, nil
		}
		if dst, err = l.seal(dst, typeApplicationData, data[:n]); err != nil {
			return dst, err
		}
		data = data[n:]
	}
}

// Owes reports whether the answer to a KeyUpdate waits for the next Seal.
func (l *Layer) Owes() bool {
	return l.State.out.flags&(flagOwed|flagEnded) == flagOwed && l.State.in.flags&flagBroken == 0
}

// SealAlert appends an alert to dst. It is the last that is sealed: later calls append nothing and return ErrClosed.
func (l *Layer) SealAlert(dst []byte, a Alert) ([]byte, error) {
	out := &l.State.out
	if out.flags&flagEnded != 0 {
		return dst, ErrClosed
	}
	body := [2]byte{a.alertLevel(), byte(a)}
	dst, err := l.seal(dst, typeAlert, body[:]) // RFC 8446 §5.1: one alert is one record
	out.flags |= flagEnded
	return dst, err
}

// keyUpdate is a KeyUpdate message, RFC 8446 §4.6.3, up to its request_update: type key_update, length 1.
var keyUpdate = [4]byte{24, 0, 0, 1}

// updateKey appends a KeyUpdate, alone in its record and under the old key (RFC 8446 §4.6.3, §5.1), and goes on to the next. It does not ask the
// peer for one (update_not_requested), so that the two can not keep each other busy.
func (l *Layer) updateKey(dst []byte) ([]byte, error) {
	message := [5]byte(append(keyUpdate[:], 0))
	dst, err := l.seal(dst, typeHandshake, message[:])
	if err != nil {
		return dst, err
	}
	out := &l.State.out
	l.sealer = nil
	out.flags &^= flagOwed
	if err := out.update(); err != nil {
		out.flags |= flagEnded // the key may be an old one, whose numbers were used
		return dst, err
	}
	return dst, nil
}

// seal appends one record, RFC 8446 §5.2. content has 1 to MaxPlaintext bytes.
func (l *Layer) seal(dst []byte, t contentType, content []byte) ([]byte, error) {
	out := &l.State.out
	aead, err := out.cipher(&l.sealer)
	if err != nil {
		return dst, err
	}
	if out.seq+1 == 0 { // RFC 8446 §5.3: it must not wrap. The key is updated long before.
		return dst, errors.New("tls13: no sequence number is left")
	}
	out.nonce(&l.nonce)
	out.seq++
	n := len(content) + 1 + tagSize
	dst = slices.Grow(dst, HeaderSize+n)
	dst = append(dst, byte(typeApplicationData), 3, 3, byte(n>>8), byte(n))
	start := len(dst)
	dst = append(dst, content...)
	dst = append(dst, byte(t))
	sealed := aead.Seal(dst[start:start], l.nonce[:], dst[start:], dst[start-HeaderSize:start])
	return dst[:start+len(sealed)], nil
}

// Package tls13 is the record layer of TLS 1.3 (RFC 8446 §5) for connections that sleep. It takes a connection over from
// crypto/tls after the handshake and carries it to its end. It is functions of bytes: it knows no socket, and starts no goroutine.
//
// What a connection needs between two records is a State, 208 bytes without pointers. A Layer is a State at work, with
// ciphers that are made when they are first needed, and thrown away with the Layer.
//
// # Invariants
//
//  1. What is not allowed is refused, never skipped: an error of Open is final, no record is opened after it, and what
//     is sent after it is at most one alert.
//  2. Data is returned only from a record that was authenticated as a whole, under the next sequence number of the current key.
//  3. No two records are sealed with the same key and sequence number: the number is counted up before the
//     record is handed out, and only in the State, which has one owner.
//  4. The peer decides neither how much memory is held (a part of a KeyUpdate is a count of at most 4) nor how much work is
//     done without data (maxIdle), nor how much is sent (any number of KeyUpdates is answered by one until it has gone).
//  5. A secret leaves the State only into a cipher. Old ones are overwritten, and Wipe overwrites the last.
//
// A client's only messages after the handshake are application data, alerts, and KeyUpdate: client certificates are not asked
// for later (RFC 8446 §4.6.2), and tickets are sent by servers only.
//
// What belongs to the handshake is not here and can not be had from a State: exporters, and so the channel binding tls-exporter
// (RFC 9266), certificates (tls-server-end-point, RFC 5929), and ALPN must be taken from crypto/tls before its Conn is given up.
package tls13

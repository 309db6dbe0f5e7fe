// Package lane makes gRPC's calls over plain unix sockets: the way for small calls between core and a plugin on one machine.
//
// A call over HTTP/2 passes through four goroutines on each side. Over a lane it is one write and one read by the goroutine that
// makes the call, and the same by the one that answers it. What is sent are the same protobuf messages; services, interceptors,
// codecs and errors are those of gRPC: a Server takes generated service descriptions, a Conn is a grpc.ClientConnInterface. A
// plugin that does not announce the capability "lanes" has none, and a call that does not fit goes over gRPC.
//
// # Lanes
//
// The child process inherits one end of a pair of sockets of type SOCK_SEQPACKET, the lane socket. Only core sends there. A packet is
// 8 bytes, the number of a lane (little-endian, not 0, never the same twice):
//
//   - with one descriptor in an SCM_RIGHTS control message: a new lane. The descriptor is one end of a pair of unix sockets of type
//     SOCK_STREAM.
//   - without: the lane was given up in the middle of a call. Whoever answers it may stop; the answer goes nowhere.
//
// A lane carries one call at a time. After a complete answer it is used for the next one. A lane whose call was cancelled, or on which
// something broke the rules, is closed and never used again: so an answer can not be taken for that of another call.
//
// # A call
//
// Numbers are little-endian. Core sends one frame, which has the whole request:
//
//	off  len  field
//	  0    4  length   bytes that follow
//	  4    4  call     another number for each call of the lane
//	  8    8  timeout  nanoseconds until the call's deadline; 0 = none
//	 16    8  request  number of the mail client's command, 0 = none: what gRPC has in the metadata roost-request
//	 24    1  n        length of the method's name
//	 25    2  u        length of the user's name
//	 27    n  method   such as /roost.storage.v1.Storage/Open
//	...    u  user     who is logged in: what gRPC has in the metadata roost-user-bin
//	...       messages, to the end of the frame; each 4 bytes length, and as many bytes of protobuf
//
// A unary call has one message. The frame is at most MaxRequest bytes long.
//
// The plugin answers with any number of frames:
//
//	off  len  field
//	  0    4  length   bytes that follow kind
//	  4    4  call     that of the request
//	  8    1  kind     0 = message, 1 = end of the answer
//	  9       message: protobuf, at most MaxMessage bytes; end: a google.rpc.Status, empty if the call succeeded
//
// A plugin answers a method that it does not know with the status UNIMPLEMENTED. It closes a lane on which something comes that is no such
// frame. End of file between two calls is the end of a lane; within a call it means that the other side is gone.
//
// # Flow control
//
// is that of the socket: a plugin that is not read from blocks in its write. The request is read to its end before it is executed, so the
// two sides never wait for each other.
package lane

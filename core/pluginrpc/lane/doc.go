// Package lane makes gRPC's calls over pipes: the way for small calls between core and a plugin on one machine.
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
//   - with two or three descriptors in an SCM_RIGHTS control message: a new lane. The first is a pipe that the plugin reads requests from, the second one that it writes
//     answers to, both without blocking; the third is the memory of the lane. Only a plugin that announces the capability "lane-memory" gets three, and not always.
//   - without: the lane was given up in the middle of a call. Whoever answers it may stop; the answer goes nowhere.
//
// A lane carries one call at a time. After a complete answer it is used for the next one, or closed when core has not needed so many for a while. A lane whose call was cancelled, or on which
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
//	...       messages, to the end of the frame; each 4 bytes length, and as many bytes of protobuf. If the highest bit of the length is set, 4 bytes of
//	          offset are there instead, and the bytes are in the memory of the lane from there on
//
// A unary call has one message. The frame is at most MaxRequest bytes long.
//
// The plugin answers with any number of frames:
//
//	off  len  field
//	  0    4  length   bytes that follow kind
//	  4    4  call     that of the request
//	  8    1  kind     0 = message, 1 = end of the answer, 2 = message in parts
//	  9       message: protobuf, at most MaxMessage bytes; end: a google.rpc.Status, empty if the call succeeded
//
// # Memory
//
// What goes over a pipe is copied into the kernel and out again. The memory of a lane saves that: a memfd, 512 KiB of it, sealed against being made smaller,
// which both sides map. Core may put messages of a request into it. It belongs to them until the end of the answer, and otherwise to the answer: then
// the plugin may put parts of a message anywhere into it, and send of them only where they are:
//
//	off  len  field of a message in parts
//	  9    1  flags    1 = core acknowledges the message
//	 10    1  n        number of parts, 1 to 4
//	 11  12n  parts    each 4 bytes position, 4 bytes offset in the memory, 4 bytes length
//	...       rest     the message without its parts; each of these belongs before the byte of the rest at its position, which is not smaller than that of the part before
//
// What is in there must stay as it is until core is done with it: until it acknowledges the message, or sends its next request. Core acknowledges with the frame
// of a request without anything, 4 bytes 0, when it asks for the message after. So an answer in one message needs none. Acknowledgements come in the order of the messages,
// the last ones perhaps after the plugin has sent the end of its answer, but before the next request.
//
// A plugin that changes what it has sent sends something else: core copies what it looks at, and takes bodies of mail, which it passes on, for what they are (Part).
// Core gives the memory back to the system when lanes rest, so a plugin finds zeros, or anything that it has put there before.
//
// A plugin answers a method that it does not know with the status UNIMPLEMENTED. It closes a lane on which something comes that is no such
// frame. End of file between two calls is the end of a lane; within a call it means that the other side is gone.
//
// # Flow control
//
// is that of the pipes, and of the memory by acknowledgements: a plugin that is not read from blocks in its write. The request is read to its end before it is executed, so the
// two sides never wait for each other.
package lane

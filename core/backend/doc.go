// Package backend holds the Go interfaces of every plugin kind.
//
// The same interface stands on both sides of the wire: a bundled plugin
// implements it, core/pluginrpc carries it over gRPC, and core calls it without
// knowing which of the two it talks to (isolation "inproc" or "process").
//
// Rules for every interface here:
//
//   - A method may block; it ends early when its context ends.
//   - Errors are *Error (see ErrorKind). Anything else is treated as KindInternal.
//   - Values received are owned by the receiver unless a comment says otherwise.
//   - All implementations are safe for concurrent use.
//   - Optional features are small extra interfaces (Watcher), announced on the
//     wire as capabilities in Info, never guessed from versions.
package backend

// Package host launches plugins, checks and supervises them, and gives core
// interfaces that survive a plugin's death.
//
// The life of a plugin, as core sees it:
//
//  1. Start runs the command (or makes the in-process plugin), reads the
//     handshake, asks Info, checks the options against it, and calls Configure. Failure of
//     any of these fails Start.
//  2. Storage, Auth and Hibernation return values of the interfaces in core/backend. Their calls go to
//     whatever process is there at the moment.
//  3. When the process ends without being asked to, or no longer answers Health, it is started anew, after a pause that
//     doubles with each failure. Calls made meanwhile wait for it, up to their
//     deadline (KindUnavailable after that). A unary read that was under way when the
//     process died is repeated once; Fetch is not, because core has a part of its answer already.
//     After too many failures in a row the plugin rests (StateFailed), and calls are refused at once.
//  4. Reload starts another process, checks it, makes it the one that is called, and ends the old one when the calls that
//     are under way on it have finished: both live for a while. Disable ends the process, and refuses calls.
//  5. Close waits for calls that are under way, asks the plugin to end, waits,
//     and kills.
//
// What ends a child, in this order of gentleness: the Shutdown call; end of
// file on a pipe whose write end only core holds (the SDK exits at once; it
// works however core dies); SIGKILL by the kernel when core's launching thread
// dies (PR_SET_PDEATHSIG), for programs that ignore the pipe; SIGKILL by this
// package. Every child is waited for, so none stays a zombie, and its process group
// is killed with it.
//
// A plugin with an address is run by the operator: a connection (link) is what a process is for others, and the host ends
// nothing but that. Confinement and no_new_privs hold before the first instruction of a child's program: the host's own program, under
// another name (confine.go), becomes the plugin by execve.
//
// On disk there is one directory for each core process, with the plugins' sockets
// in it; it is locked, and removed at the end. Directories whose core is dead are
// removed at the next start.
//
// docs/plugin-protocol.md describes the same from the plugin's side.
package host

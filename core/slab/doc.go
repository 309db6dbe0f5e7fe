// Package slab keeps fixed-size records in memory that the garbage collector does not see, and that can outlive the process.
//
// A Table is memory mapped in chunks that never move, so that a pointer to a record stays valid as long as the table. Its
// records hold no pointers. A table with a name is a memfd: who gets its descriptor (by SCM_RIGHTS, or by being a child)
// finds the records there after the process that made them has ended or was killed, and goes on with them (Attach, Restore).
//
// Blobs keeps byte strings in cells of a Table, Names interns them, and Index finds records by a hash.
//
// # Invariants
//
//  1. Slot 0 is never given out; it stands for "none" in links.
//  2. A table knows which slots are free, and nothing else about its records. What a record's bytes mean, who may touch
//     them, and which slots are in use after Attach, is the owner's business. A record is not wiped by Give.
//  3. Free slots are listed outside the records, so a process that is killed in the midst of Take or Give leaves no
//     broken list: Restore makes it anew.
//  4. Memory only grows. It is given back to the system by Close.
package slab

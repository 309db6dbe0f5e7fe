// Package crashfs is a file system in memory for tests: it fails operations on demand, and shows what a crash leaves.
//
// A test loads a store, tells which operation shall fail and how (Inject), lets the code under test work, and looks at
// what is left: After returns a new file system as a process finds it that starts after a crash. Everything is
// deterministic, so the same operations with the same seed give the same bytes.
//
//	for n := 1; ; n++ {
//		fsys := base.After(crashfs.LoseNothing, 0) // a copy
//		fsys.Inject(crashfs.Fault{N: n, What: crashfs.PowerCut})
//		acknowledged, err := scenario(fsys)
//		for _, loss := range crashfs.Losses {
//			verify(fsys.After(loss, seed), acknowledged)
//		}
//		if !fsys.Hit() {
//			break // the scenario has fewer operations
//		}
//	}
//
// # What is durable
//
// The model promises what POSIX promises, which is less than the common file systems do:
//
//   - Data written to a file is durable after Sync of that file. Before that, each of its pieces of 512 bytes may be on
//     disk or not, in any order; a file may have got its size without its data, which reads as zeros then; and a
//     truncation may have happened or not. A Sync that fails makes nothing durable.
//   - A change of names (a file made, linked, renamed or removed, a directory made or removed) is durable after SyncDir
//     of its directory, and not by Sync of the file. Before that it may have happened or not, but the changes in one
//     directory happen in order: if one has, so have those before it. A rename is one change, also between two
//     directories: syncing one of them is enough, and after a crash the file has the old name or the new one, and
//     what had the new name is there if the file has the old one. As a consequence, what happened in either directory
//     before such a rename is durable with it.
//   - Names and data are independent of each other: after a crash, a new name may lead to a file whose data, if it was
//     never synced, is missing. In a directory that is lost everything is lost, synced or not.
//   - Owners and permissions are durable at once. So are times of modification, where the data is that of this time.
//
// ext4 and XFS write all metadata through one journal in order, so that a Sync of any file makes all earlier changes of
// names durable, and ext4 (data=ordered, auto_da_alloc) writes the data of a file before it is renamed over another.
// Code that passes here relies on neither, and is right on btrfs, ZFS and NFS as well.
//
// # What else it models
//
// Locks belong to an open file, of either kind, and end with Close. Permissions and owners are recorded and not
// enforced; a new file in a directory with the set-group-ID bit gets its group. Symbolic links are followed; they come
// from a loaded tree. Inode numbers are never used twice in one FS and its descendants, and each FS is a device of its own.
// Every change sets a time of modification that is later than all before it.
package crashfs

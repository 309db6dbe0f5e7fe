// Package dump writes the content of mailstore files for people: every field
// with its offset, size, name and value, in the order of the file.
//
//	000010     4  indexid            1795505051  2026-11-24 07:24:11
//
// The first column is the offset in hexadecimal, the second the size in bytes.
// A file that is damaged is dumped up to the damage; the rule that is broken
// there is the error.
//
// What a file is, its name says, and if not, its first bytes (kinds.go). Each
// format has a file of its own here.
package dump

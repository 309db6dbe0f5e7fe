// Package story reads and plays conformance stories: text scripts of IMAP conversations that are held against more than one server.
// testdata/imap/stories/README.md describes their syntax.
//
// Parse checks all that can be checked without a server. Story.Play plays one on one server, on connections of its own: lines that are
// sent together go as one packet, and each line that comes must be the one that the story has next. Nothing is timed; a line that
// never comes ends the story after Patience.
package story

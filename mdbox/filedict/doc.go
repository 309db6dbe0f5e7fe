// Package filedict reads and writes Dovecot's file dictionaries: small key-value stores of which a user has one file for
// each purpose, such as the annotations of mailboxes (mail_attribute_dict = file:%h/dovecot-attributes).
//
// The file has two lines for each key, in no order: the key, and its value. A line ends with LF, or CR LF. In both
// lines the bytes that would end them, and those that are special here, are escaped (dovecot src/lib/strescape.c, str_tabescape):
//
//	byte      written as
//	NUL       0x01 '0'
//	0x01      0x01 '1'
//	tab       0x01 't'
//	CR        0x01 'r'
//	LF        0x01 'n'
//
// Any other byte after 0x01 stands for itself. A last line without LF is not there. If a key stands there
// twice, the later value counts.
//
// Every change makes a new file (dovecot src/lib-dict/dict-file.c, file_dict_write_changes): the writer makes FILE.lock, reads what
// is in FILE by then, writes everything with its changes to FILE.lock, and renames that to FILE. So a
// reader needs no lock, and no two writers lose each other's changes. (Dovecot's
// other ways, lock=fcntl and lock=flock in the dictionary's URI, are not implemented: who uses them does not see our lock.)
package filedict

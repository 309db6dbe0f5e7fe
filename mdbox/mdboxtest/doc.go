// Package mdboxtest gives tests mailstores that a real Dovecot wrote, together
// with what Dovecot itself says is in them.
//
// Golden stores lie in testdata/dovecot-*/; Golden copies one, so that a test may
// change it. New ones are made by MakeStore, which runs testdata/make-store.sh;
// Doveadm and IMAP run the programs of the installed Dovecot on them. A test
// that needs Dovecot where it is not installed fails and says so: nothing is
// skipped.
package mdboxtest

package e2e

import "testing"

func TestRenameRacesAreTakenOutOfALog(t *testing.T) {
	const lost = "x: Error: Mailbox B: Index /m/B/dovecot.index: index not found via open(): Lost log for seq=1 offset=0: Missing middle file seq=1 (between 1..4294967295, we have seqs 4): Not found from .log.2: File doesn't exist (initial_mapped=0) - fscking (reopen_reason: Index not open)\n"
	const mends, other = "x: Warning: Mailbox B: fscking index file /m/B/dovecot.index\n", "x: Warning: Mailbox C: fscking index file /m/C/dovecot.index\n"
	for in, want := range map[string]string{
		"a\n" + lost + mends + "b\n": "a\nb\n",
		lost + other:                 lost + other,
		mends + other:                mends + other,
		lost:                         lost,
	} {
		if got := dropRenameRaces(in); got != want {
			t.Errorf("%q: got %q", in, got)
		}
	}
}

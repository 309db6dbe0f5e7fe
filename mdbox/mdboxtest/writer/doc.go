// Package writer writes mdbox stores for tests: small ones that change step by
// step, and large ones in no time. What it writes is what the codecs of mdbox encode, which are tested
// against files of real Dovecots elsewhere. It takes no locks and syncs nothing, so it is of no use but for tests.
package writer

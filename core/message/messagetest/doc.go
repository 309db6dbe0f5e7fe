// Package messagetest makes messages for tests of whatever reads mail: handwritten ones, and random ones.
package messagetest

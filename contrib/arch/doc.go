// Package arch states the architecture as tests: which room may import which,
// with the reason, and the house rules that a machine can check.
//
// A failing test here is an architectural decision to be made, not a nuisance
// to be silenced: change the table only together with the design.
package arch

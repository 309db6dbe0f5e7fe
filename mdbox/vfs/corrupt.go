package vfs

import (
	"errors"
	"fmt"
)

// CorruptError says that a file does not hold what its format demands.
//
// A decoder that knows neither its file nor where its bytes lie there fills in
// Rule, and Offset relative to its input; At adds the rest on the way up.
type CorruptError struct {
	File   string // path, or empty until a caller knows it
	Offset int64  // bytes from the start of File, where the rule is broken
	Rule   string // the violated rule, as a statement: "message header ends with LF"
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s: offset %d: corrupted: %s", e.File, e.Offset, e.Rule)
}

// Corrupt makes a CorruptError for a decoder: off is relative to its input.
func Corrupt(off int64, rule string, args ...any) *CorruptError {
	if len(args) > 0 {
		rule = fmt.Sprintf(rule, args...)
	}
	return &CorruptError{Offset: off, Rule: rule}
}

// At completes the CorruptError in the chain of err, if there is one without a
// file: file is the path, base is added to its offset. It returns err.
func At(err error, file string, base int64) error {
	var c *CorruptError
	if errors.As(err, &c) && c.File == "" {
		c.File = file
		c.Offset += base
	}
	return err
}

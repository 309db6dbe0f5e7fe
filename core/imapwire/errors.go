package imapwire

import "fmt"

// SyntaxError is a command that does not follow the grammar.
type SyntaxError struct {
	// Pos is the byte at which the error was noticed, counted from 1 at the
	// first byte of the command.
	Pos int
	// What is wrong, in words: "expected SP". Printable ASCII.
	What string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s at byte %d", e.What, e.Pos)
}

// Limits bound what a command may hold. A command's length is bounded by the
// framer; these keep its structure from costing more than its length.
type Limits struct {
	Depth int // parentheses within parentheses, [limits] nesting
	Items int // elements of one list or ranges of one sequence set, [limits] list_items
}

// DefaultLimits are used where no others are configured.
var DefaultLimits = Limits{Depth: 128, Items: 16384}

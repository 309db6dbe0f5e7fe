package sql

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestREADMEListsEveryOption(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range optionList {
		if row := fmt.Sprintf("| `%s` | %s |", o.Name, o.Type); !strings.Contains(string(text), row) {
			t.Errorf("the table of options has no row %s", row)
		}
	}
}

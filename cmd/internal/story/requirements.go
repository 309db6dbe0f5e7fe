package story

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Requirements are the sections of RFCs that oblige a server. The value says why no story shows the section, "" for one that must be shown.
type Requirements map[Ref]string

// LoadRequirements reads lines of the form "3501 §6.4.4" or "3501 §2.2.2: why there is no story", and comments.
func LoadRequirements(file string) (Requirements, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all := Requirements{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		text, why, _ := strings.Cut(line, ": ")
		refs, err := parseRefs(nil, text)
		if err == nil && (len(refs) != 1 || refs[0].Section == "") {
			err = errors.New("one section is expected")
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, n, err)
		}
		all[refs[0]] = why
	}
	return all, lines.Err()
}

// Check returns what is wrong with the requirements, seen from the stories.
func (all Requirements) Check(c Coverage) error {
	var wrong []error
	for r, why := range all {
		shown := c[r] != nil && len(c[r].Stories) > 0
		switch {
		case shown && why != "":
			wrong = append(wrong, fmt.Errorf("RFC %d §%s is shown by %s: there is no reason to give why not", r.RFC, r.Section, strings.Join(c[r].Stories, ", ")))
		case !shown && why == "":
			wrong = append(wrong, fmt.Errorf("RFC %d §%s: no story, and no reason why not", r.RFC, r.Section))
		}
	}
	return errors.Join(wrong...)
}

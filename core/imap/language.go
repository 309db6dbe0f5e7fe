package imap

import "strings"

// languages are those of the texts behind status responses. Both are the same: there is no other than English
// (RFC 2277 §4.5 wants i-default to be it).
var languages = []string{"en", "i-default"}

// LANGUAGE (RFC 5255 §3.2): "LANGUAGE" *(SP lang-range). Without arguments it tells what there is; else the first that the server has is
// taken, and told with the namespaces, whose names have no translations.
func quickLanguage(r *request) (bool, error) {
	var ranges []string
	for r.d.TrySP() {
		ranges = append(ranges, string(r.d.AString()))
	}
	if err := r.end(); err != nil {
		return true, err
	}
	told := strings.Join(languages, " ")
	if len(ranges) > 0 {
		if told = language(ranges); told == "" {
			return true, no("", "Language is not supported.") // RFC 5255 §3.2: what was, stays
		}
	}
	r.s.WriteString("* LANGUAGE (" + told + ")\r\n")
	if len(ranges) > 0 && r.st.Proto != stateNotAuthenticated { // RFC 5255 §3.2
		r.tellNamespaces()
	}
	return true, nil
}

// language returns the language for the ranges of a client, "" = there is none: a range stands also for what it begins with
// (RFC 4647 §3.4), and "default" is the server's.
func language(ranges []string) string {
	for _, want := range ranges {
		switch want = strings.ToLower(want); want {
		case "default":
			return "i-default"
		case "*":
			return languages[0]
		}
		for ; want != ""; want = want[:max(0, strings.LastIndexByte(want, '-'))] {
			for _, have := range languages {
				if want == have {
					return have
				}
			}
		}
	}
	return ""
}

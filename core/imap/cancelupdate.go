package imap

import "slices"

// CANCELUPDATE (RFC 5267 §4.3.5): 1*(SP quoted), the tags of contexts. What is no tag of one makes it fail; the others are ended.
func runCancelUpdate(r *request) error {
	var tags []string
	for r.d.OK() {
		r.d.SP()
		tags = append(tags, string(r.d.String()))
		if r.d.AtEnd() {
			break
		}
	}
	if err := r.end(); err != nil {
		return err
	}
	list := contextsOf(r.s)
	for _, tag := range tags {
		n := len(list)
		list = slices.DeleteFunc(list, func(c searchContext) bool { return c.tag == tag })
		if len(list) == n {
			r.srv.setContexts(r.s, list)
			return no("", "Unknown tag.")
		}
	}
	r.srv.setContexts(r.s, list)
	return nil
}

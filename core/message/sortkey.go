package message

// AppendAddressKey appends what SORT compares of an address field: the mailbox of the first address (RFC 5256 §3: FROM, TO,
// CC), in the form in which search compares text. A group stands for itself by its name.
func AppendAddressKey(dst []byte, f Field) []byte {
	a, ok := firstAddress(f)
	if !ok {
		return dst
	}
	return appendFolded(dst, a.mailbox)
}

// AppendDisplayKey appends what DISPLAYFROM and DISPLAYTO compare (RFC 5957 §3): the decoded display name of the first
// address, else the address.
func AppendDisplayKey(dst []byte, f Field) []byte {
	a, ok := firstAddress(f)
	if !ok {
		return dst
	}
	if name := appendDecodedWords(nil, a.name); len(name) > 0 {
		return appendFolded(dst, name)
	}
	dst = appendFolded(dst, a.mailbox)
	if a.domain != nil {
		dst = appendFolded(append(dst, '@'), a.domain)
	}
	return dst
}

// firstAddress returns the first address of a list.
func firstAddress(f Field) (first address, ok bool) {
	value, _ := f.text(nil)
	parseAddresses(value, func(a *address) {
		if !ok {
			first, ok = *a, true
			first.mailbox, first.domain = append([]byte(nil), a.mailbox...), append([]byte(nil), a.domain...)
			first.name = append([]byte(nil), a.name...)
			if a.domain == nil {
				first.domain = nil
			}
		}
	})
	return first, ok
}

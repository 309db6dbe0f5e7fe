package imapwire

// Flag reads a system flag, flag extension or keyword (RFC 3501 §9: flag),
// `\Seen` or `$Forwarded`, as it was sent. `\*` is no flag.
func (d *Decoder) Flag() []byte {
	start := d.pos
	if !d.TryByte('\\') {
		return d.token(classAtom, "expected flag")
	}
	d.token(classAtom, "expected flag name")
	if d.err != nil {
		return nil
	}
	return d.b[start:d.pos:d.pos]
}

// FlagList reads "(" [flag *(SP flag)] ")" (RFC 3501 §9: flag-list).
func (d *Decoder) FlagList() [][]byte {
	var fs [][]byte
	d.List(func() { fs = append(fs, d.Flag()) })
	if d.err != nil {
		return nil
	}
	return fs
}

package message

// address is one address of a list. nil stands for a part that is not there (NIL in
// IMAP). A group starts with an address that has only a mailbox, its name, and
// ends with one that has nothing (RFC 3501 §7.4.2).
type address struct {
	name, route, mailbox, domain []byte
}

// What Dovecot puts in place of parts that are missing or can not be parsed
// (src/lib-mail/message-address.c); clients and caches know these words.
var (
	missingMailbox = []byte("MISSING_MAILBOX")
	missingDomain  = []byte("MISSING_DOMAIN")
	syntaxError    = []byte("SYNTAX_ERROR")
	invalidRoute   = []byte("INVALID_ROUTE")
)

// addressParser reads an address list (RFC 5322 §3.4 with the obsolete forms of §4.4) and
// makes the best of what is none, without ever failing. Each address goes to emit; its parts are valid only there.
type addressParser struct {
	lexer
	addr address
	buf  []byte // holds the parts of the current address
	emit func(a *address)
}

// parseAddresses calls emit for every address of an address header's value.
func parseAddresses(value []byte, emit func(a *address)) {
	p := addressParser{lexer: lexer{b: value, keepComment: true}, emit: emit}
	p.buf = make([]byte, 0, 128)
	if p.skip() != more {
		return
	}
	p.list()
}

func (p *addressParser) list() {
	for {
		if p.address() == end || !p.next(',') {
			return
		}
		p.i++
		switch p.skip() {
		case end:
			return
		case bad:
			p.addFixed() // ends in garbage
			return
		}
	}
}

// take returns what was appended to p.buf since start, as a part of an address.
func (p *addressParser) take(start int) []byte { return p.buf[start:len(p.buf):len(p.buf)] }

func (p *addressParser) add() {
	p.emit(&p.addr)
	p.addr, p.buf = address{}, p.buf[:0]
}

// addFixed adds the current address and names what it lacks.
func (p *addressParser) addFixed() {
	if p.addr.mailbox == nil {
		p.addr.mailbox = missingMailbox
	}
	if p.addr.domain == nil {
		p.addr.domain = missingDomain
	}
	p.add()
}

// address reads a group or a mailbox.
func (p *addressParser) address() status {
	start := p.i
	var st status
	if p.buf, st = p.phrase(p.buf); st == more && p.b[p.i] == ':' {
		return p.group()
	}
	p.i, p.buf = start, p.buf[:0]
	return p.mailbox()
}

// group reads the rest of a group, from the colon after its name, which stands in p.buf.
func (p *addressParser) group() status {
	p.i++
	st := p.skip()
	p.addr.mailbox = p.take(0)
	p.add()
	if st == more && p.b[p.i] != ';' {
		for {
			p.mailbox()
			if !p.next(',') {
				break
			}
			p.i++
			if p.skip() != more {
				st = bad
				break
			}
		}
	}
	if st != bad {
		if st = bad; p.next(';') {
			p.i++
			st = p.skip()
		}
	}
	p.add()
	if st == end {
		return end
	}
	return more
}

// mailbox reads a name-addr or an addr-spec.
func (p *addressParser) mailbox() status {
	start := p.i
	var st status
	if p.buf, st = p.phrase(p.buf); st == more && p.b[p.i] == '<' {
		if len(p.buf) > 0 {
			p.addr.name = p.take(0)
		}
		if !p.angle() {
			p.addr.domain = syntaxError
		}
		st = p.here()
	} else {
		p.i, p.buf = start, p.buf[:0]
		st = p.spec()
	}
	p.addFixed()
	return st
}

// angle reads "<" [route ":"] local-part ["@" domain] ">".
func (p *addressParser) angle() bool {
	p.i++
	if p.skip() != more {
		return false
	}
	if p.b[p.i] == '@' {
		if p.route() == more && p.b[p.i] == ':' {
			p.i++
		} else {
			p.addr.route = invalidRoute
			if p.i == len(p.b) {
				return false
			}
		}
		if p.skip() != more {
			return false
		}
	}
	if p.b[p.i] != '>' {
		if p.localPart() != more {
			return false
		}
		if p.b[p.i] == '@' && p.domainPart() != more {
			return false
		}
		if p.b[p.i] != '>' {
			return false
		}
	}
	p.i++
	return p.skip() != bad
}

// route reads "@" domain, repeated with commas between (RFC 5322 §4.4, obs-domain-list).
func (p *addressParser) route() status {
	start := len(p.buf)
	for p.i < len(p.b) {
		if p.b[p.i] != '@' {
			p.addr.route = p.take(start)
			return more
		}
		if len(p.buf) > start {
			p.buf = append(p.buf, ',')
		}
		p.buf = append(p.buf, '@')
		var st status
		if p.buf, st = p.domain(p.buf); st != more {
			return st
		}
		for p.skip() == more && p.b[p.i] == ',' {
			p.i++
		}
	}
	return end
}

func (p *addressParser) localPart() status {
	start := len(p.buf)
	var st status
	if p.next('"') {
		p.buf, st = p.quoted(p.buf)
	} else {
		p.buf, st = p.looseDotAtom(p.buf)
	}
	if st != bad {
		p.addr.mailbox = p.take(start)
	}
	return st
}

func (p *addressParser) domainPart() status {
	start := len(p.buf)
	var st status
	if p.buf, st = p.domain(p.buf); st != bad {
		p.addr.domain = p.take(start)
	}
	return st
}

// spec reads an address without angle brackets. A comment behind it is its display name (RFC 822's
// habit). A word without domain is a mailbox; several words are a display name.
func (p *addressParser) spec() status {
	p.comment = p.comment[:0]
	quoted := p.next('"')
	st := p.localPart()
	hasDomain := false
	if st != end && p.next('@') {
		hasDomain = true
		if d := p.domainPart(); d != more {
			st = d
		}
	}
	switch {
	case len(p.comment) > 0:
		p.addr.name = append([]byte(nil), p.comment...)
	case !hasDomain:
		p.buf = append(p.buf, ' ')
		n := len(p.buf)
		p.buf, _ = p.phrase(p.buf)
		switch {
		case len(p.buf) > n:
			p.addr.mailbox, p.addr.name = nil, p.take(0)
		case quoted:
			p.addr.mailbox, p.addr.name = nil, p.addr.mailbox
		}
		return bad
	}
	return st
}

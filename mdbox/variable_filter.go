package mdbox

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"strconv"
	"strings"
)

// pipeline is the value that runs through the filters of Dovecot 2.4's
// %{user | lower | …}. Digests yield bytes; what is bytes at the end is printed as hex.
type pipeline struct {
	value  string
	binary bool
}

var digests = map[string]func(string) []byte{
	"md5":    func(s string) []byte { h := md5.Sum([]byte(s)); return h[:] },
	"sha1":   func(s string) []byte { h := sha1.Sum([]byte(s)); return h[:] },
	"sha256": func(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] },
	"sha512": func(s string) []byte { h := sha512.Sum512([]byte(s)); return h[:] },
}

// filter applies one filter; why is empty or says what is wrong with it.
func (p *pipeline) filter(f string) (why string) {
	name, args, hasArgs := strings.Cut(f, "(")
	name = strings.TrimSpace(name)
	if hasArgs {
		var ok bool
		if args, ok = strings.CutSuffix(strings.TrimSpace(args), ")"); !ok {
			return "filter " + name + " lacks its closing parenthesis"
		}
	}
	if digest := digests[name]; digest != nil {
		p.value, p.binary = string(digest(p.value)), true
		return ""
	}
	switch name {
	case "lower":
		p.value = asciiLower(p.value)
	case "upper":
		p.value = asciiUpper(p.value)
	case "reverse":
		p.value = reverse(p.value)
	case "username":
		p.value = userPart(p.value)
	case "domain", "domain_first":
		p.value = domainPart(p.value)
	case "domain_last":
		if i := strings.LastIndexByte(p.value, '@'); i >= 0 {
			p.value = p.value[i+1:]
		} else {
			p.value = ""
		}
	case "hexlify":
		p.value, p.binary = hex.EncodeToString([]byte(p.value)), false
	case "default":
		if p.value == "" {
			p.value = strings.Trim(strings.TrimSpace(args), `'"`)
		}
	case "truncate":
		return p.truncate(args)
	case "substr":
		return p.substr(args)
	default:
		return "unknown filter " + name
	}
	return ""
}

// truncate is truncate(len) in bytes.
func (p *pipeline) truncate(args string) (why string) {
	n, err := strconv.Atoi(strings.TrimSpace(args))
	if err != nil || n < 0 {
		return "filter truncate needs a length"
	}
	p.value = p.value[:min(n, len(p.value))]
	return ""
}

// substr is substr(offset[, length]); negative numbers count from the end.
func (p *pipeline) substr(args string) (why string) {
	first, second, hasLength := strings.Cut(args, ",")
	offset, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return "filter substr needs an offset"
	}
	if offset < 0 {
		offset = max(len(p.value)+offset, 0)
	}
	v := p.value[min(offset, len(p.value)):]
	if hasLength {
		n, err := strconv.Atoi(strings.TrimSpace(second))
		if err != nil {
			return "filter substr needs a number as its length"
		}
		if n < 0 {
			n = max(len(v)+n, 0)
		}
		v = v[:min(n, len(v))]
	}
	p.value = v
	return ""
}

// truncateBits keeps the first bits of a digest, as a number (the truncate= option of Dovecot 2.3).
func (p *pipeline) truncateBits(s string) (why string) {
	bits, err := strconv.Atoi(s)
	if err != nil || bits <= 0 || bits%8 != 0 {
		return "truncate needs a multiple of 8 bits"
	}
	p.value = p.value[:min(bits/8, len(p.value))]
	return ""
}

func (p *pipeline) text() string {
	if p.binary {
		return hex.EncodeToString([]byte(p.value))
	}
	return p.value
}

package cache

import "strings"

// SaveFields returns the names of the fields to store for a message that is saved into a mailbox whose cache file has
// the given fields. imap.envelope is none of them: Dovecot makes it only when it is asked for (dovecot
// src/lib-storage/index/index-mail-headers.c, index_mail_cache_parse_init).
func (p *Policy) SaveFields(fields []Field) []string {
	var names []string
	for i := range fields {
		if p.Wants(&fields[i], 0, 0) && !strings.EqualFold(fields[i].Name, knownTable[fieldEnvelope].name) {
			names = append(names, fields[i].Name)
		}
	}
	return names
}

// FetchFields returns the names of the fields to store for a message that has to be read, since a client asked for the
// fields asked and not all of them are cached: those, unless the configuration forbids it, and what the file wants of
// it anyway. has tells what is cached already.
func (p *Policy) FetchFields(fields []Field, asked []string, has func(field string) bool, uid uint32, week Week) []string {
	var names []string
	for _, name := range asked {
		if p.Allows(name) && !has(name) && !containsFold(names, name) {
			names = append(names, name)
		}
	}
	for i := range fields {
		name := fields[i].Name
		if p.Wants(&fields[i], uid, week) && !has(name) && !containsFold(names, name) {
			names = append(names, name)
		}
	}
	return names
}

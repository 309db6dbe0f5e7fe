package imap

import (
	"strings"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
)

// Special uses of mailboxes that clients choose: CREATE … (USE …) (RFC 6154 §3), and SETMETADATA of /private/specialuse (§4), where both are kept.

// capabilityCreateSpecialUse is announced if storage keeps annotations and can write.
const capabilityCreateSpecialUse = " CREATE-SPECIAL-USE"

const specialUseEntry = "/private/specialuse"

// specialUses are those that a client may give a mailbox. \All and \Flagged would be mailboxes whose messages are elsewhere.
var specialUses = []string{`\Archive`, `\Drafts`, `\Important`, `\Junk`, `\Sent`, `\Trash`}

// specialUse returns a special use as it is spelled; "" if it can not be given (RFC 6154 §5.3: USEATTR).
func specialUse(name string) string {
	for _, use := range specialUses {
		if strings.EqualFold(use, name) {
			return use
		}
	}
	return ""
}

// listedUses returns those of the special uses in an annotation that can be told: others than clients may have written it.
func listedUses(value string) string {
	if value == "" {
		return ""
	}
	var uses []string
	for _, name := range strings.Fields(value) {
		if use := specialUse(name); use != "" {
			uses = append(uses, use)
		}
	}
	return strings.Join(uses, " ")
}

// useParameter reads "USE" SP "(" [use-attr *(SP use-attr)] ")" (RFC 6154 §6). unknown is the first use that can not be given.
func useParameter(d *imapwire.Decoder) (uses []string, unknown string) {
	d.List(func() {
		at := d.Pos()
		if word := d.Word(); word != "USE" && d.OK() {
			d.FailAt(at, "unknown parameter "+quote(d.Since(at)))
		}
		d.SP()
		d.List(func() {
			name := string(d.Flag())
			use := specialUse(name)
			switch {
			case use != "":
				uses = append(uses, use)
			case unknown == "":
				unknown = name
			}
		})
	})
	return uses, unknown
}

// errUse is the answer for a use that a mailbox can not have.
func errUse(name string) error {
	return no("USEATTR", "Mailboxes can not have the special use "+name)
}

// giveUses sets the special uses of a mailbox that was just made. If that fails it is removed again (RFC 6154 §3).
func (r *request) giveUses(ref backend.MailboxRef, uses []string) error {
	value := []byte(strings.Join(uses, " "))
	err := r.srv.metadata.SetMetadata(r.ctx, ref, []backend.MetadataEntry{{Name: specialUseEntry, Value: value}})
	if err == nil {
		return nil
	}
	if undo := r.srv.writer.DeleteMailbox(r.ctx, ref); undo != nil {
		r.logError(undo)
	}
	return err
}

// checkSpecialUse refuses a value of /private/specialuse that CREATE would refuse (RFC 6154 §4), and returns it as LIST tells it.
func checkSpecialUse(value []byte) ([]byte, error) {
	var uses []string
	for _, name := range strings.Fields(string(value)) {
		use := specialUse(name)
		if use == "" {
			return nil, errUse(name)
		}
		uses = append(uses, use)
	}
	return []byte(strings.Join(uses, " ")), nil
}

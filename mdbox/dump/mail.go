package dump

import (
	"bytes"
	"io"
	"regexp"
	"strconv"
	"time"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/vfs"
)

var mailName = regexp.MustCompile(`^m\.[0-9]+(\.broken)?$`)

func isMailName(base string) bool { return mailName.MatchString(base) }

// isMail: a header line with a message header size.
func isMail(head []byte) bool {
	return len(head) > 3 && (head[0] == '1' || head[0] == '2') && head[1] == ' ' && bytes.IndexByte(head, '\n') > 0 &&
		bytes.Contains(head[:bytes.IndexByte(head, '\n')], []byte(" M"))
}

// maxMetadata limits the metadata of one message, in bytes.
const maxMetadata = 64 << 20

var metadataNames = map[byte]string{
	dbox.KeyPhysicalSize: "physical-size",
	dbox.KeyReceived:     "received",
	dbox.KeyVirtualSize:  "virtual-size",
	dbox.KeyPOP3UIDL:     "pop3-uidl",
	dbox.KeyPOP3Order:    "pop3-order",
	dbox.KeyGUID:         "guid",
	dbox.KeyMailbox:      "orig-mailbox",
	dbox.KeyAttachments:  "attachments",
}

// dumpMail writes the file header, and of each message header and metadata.
func dumpMail(p *printer, f vfs.File) error {
	var line [256]byte
	n, err := f.ReadAt(line[:], 0)
	if err != nil && err != io.EOF {
		return err
	}
	h, size, err := dbox.DecodeFileHeader(line[:n])
	if err != nil {
		return err
	}
	p.field(0, size, "file header", "version %d", h.Version)
	p.field(0, size, "message header size", "%d", h.HeaderSize)
	p.field(0, size, "created", "%d  %s", h.Created, time.Unix(h.Created, 0).UTC().Format(time.DateTime))
	return dbox.Scan(f, maxMetadata, func(h dbox.FileHeader, m *dbox.Scanned) error {
		return dumpMessage(p, f, h, m)
	})
}

func dumpMessage(p *printer, f vfs.File, h dbox.FileHeader, m *dbox.Scanned) error {
	p.title("message at %d", m.Offset)
	p.field(int64(m.Offset), h.HeaderSize, "message header", "type %c", m.Header.Type)
	p.field(int64(m.Offset), h.HeaderSize, "size", "%d", m.Header.Size)
	var head [16]byte
	n := min(m.Header.Size, uint64(len(head)))
	if _, err := f.ReadAt(head[:n], int64(m.Body)); err != nil {
		return err
	}
	p.field(int64(m.Body), int(m.Header.Size), "body", "stored as %v", storedAs(head[:n]))
	off := int64(m.Body+m.Header.Size) + 4
	for _, l := range m.Metadata {
		name := metadataNames[l.Key]
		if name == "" {
			name = string(rune(l.Key))
		}
		p.field(off, len(l.Value)+2, name, "%s", metadataValue(l))
		off += int64(len(l.Value)) + 2
	}
	return nil
}

func storedAs(head []byte) string {
	if c := dbox.DetectCompression(head); c != dbox.Uncompressed {
		return c.String()
	}
	return "it is"
}

// metadataValue is the value for people: numbers in decimal.
func metadataValue(l dbox.MetadataLine) string {
	switch l.Key {
	case dbox.KeyPhysicalSize, dbox.KeyVirtualSize, dbox.KeyReceived:
		v, err := strconv.ParseUint(string(l.Value), 16, 63)
		if err != nil {
			break
		}
		s := strconv.FormatUint(v, 10)
		if l.Key == dbox.KeyReceived {
			s += "  " + time.Unix(int64(v), 0).UTC().Format(time.DateTime)
		}
		return s
	}
	return strconv.QuoteToGraphic(string(l.Value))
}

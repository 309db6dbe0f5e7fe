package imap

import (
	"slices"
	"strings"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/message"
)

// fetchPlan is what a FETCH needs of storage, and how its answer is made of that.
type fetchPlan struct {
	items  backend.FetchItems
	fields []string // header fields that are enough
	// offset and length limit the body to what a single partial BODY[] wants.
	offset, length uint64
	ranged         bool

	structure bool // BODY or BODYSTRUCTURE is wanted
	preview   bool // PREVIEW is wanted, and not LAZY
	tree      bool // parts are wanted: the message must be parsed as a whole
	header    bool // the header is taken from the body
	streams   int  // items that take a long run of the body: BODY[], BODY[TEXT]
}

// makeFetchPlan finds the least that answers all items.
func makeFetchPlan(items []fetchItem) fetchPlan {
	var p fetchPlan
	header, body := false, false
	var whole []*fetchItem // BODY[]
	var fields []string
	for i := range items {
		it := &items[i]
		switch it.kind {
		case fetchInternalDate:
			p.items |= backend.FetchInternalDate
		case fetchSaveDate:
			p.items |= backend.FetchSaveDate
		case fetchEmailID:
			p.items |= backend.FetchGUID
		case fetchPreview:
			if p.preview = !it.lazy; p.preview {
				p.items |= backend.FetchPreview
			} else {
				p.items |= backend.FetchPreviewCached
			}
		case fetchSize:
			p.items |= backend.FetchSize
		case fetchEnvelope:
			fields = append(fields, envelopeFields...)
		case fetchBody, fetchBodyStructure:
			p.items |= backend.FetchBodyStructure
			p.structure = true
		case fetchBinary, fetchBinarySize:
			p.tree, body = true, true
		case fetchSection:
			switch {
			case len(it.section.Path) > 0:
				p.tree, body = true, true
			case it.section.Kind == message.SectionAll:
				whole = append(whole, it)
				p.streams++
			case it.section.Kind == message.SectionText:
				p.streams++
				p.header, body = true, true
			case it.section.Kind == message.SectionFields:
				fields = append(fields, it.section.Fields...)
			default:
				header = true
			}
		}
	}
	switch {
	case len(whole) == 1 && !body && !header && !p.structure && !p.preview && whole[0].partial:
		p.items |= backend.FetchBody
		p.ranged, p.offset = true, whole[0].offset
		if p.length = whole[0].length; p.length > 1<<62 {
			p.length = 0 // to the end
		}
	case body || len(whole) > 0:
		p.items |= backend.FetchBody
		p.header = p.header || header || len(fields) > 0
	case header:
		p.items |= backend.FetchHeader
		p.header = true
	}
	if p.items&backend.FetchHeader == 0 && (p.items&backend.FetchBody == 0 || p.ranged) {
		slices.Sort(fields)
		p.fields = slices.Compact(fields)
	}
	return p
}

// envelopeFields are message.EnvelopeFields in upper case, as the fields of sections are.
var envelopeFields = strings.Split(strings.ToUpper(strings.Join(message.EnvelopeFields, " ")), " ")

// storage reports whether storage has to be asked at all.
func (p *fetchPlan) storage() bool { return p.items != 0 || p.fields != nil }

// fetchTexts are items that storage sends in one piece.
const fetchTexts = backend.FetchBodyStructure | backend.FetchPreview | backend.FetchPreviewCached

// texts reports whether storage is asked for texts that it sends in one piece.
func (p *fetchPlan) texts() bool { return p.fields != nil || p.items&fetchTexts != 0 }

// withoutTexts is the plan that takes from the message itself what p has from texts.
func (p fetchPlan) withoutTexts() fetchPlan {
	p.items = p.items&^(fetchTexts|backend.FetchHeader) | backend.FetchBody
	p.fields, p.header = nil, true
	p.ranged, p.offset, p.length = false, 0, 0
	return p
}

// linear reports whether the items can be answered while the body passes by, if it need not be parsed.
func (p *fetchPlan) linear() bool { return p.streams <= 1 }

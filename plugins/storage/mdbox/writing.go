package mdbox

import (
	"strings"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/message"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/index"
)

// fsyncs and compressions are the values of mail_fsync and zlib_save.
var (
	fsyncs = map[string]index.Fsync{"optimized": index.FsyncOptimized, "always": index.FsyncAlways, "never": index.FsyncNever}

	compressions = map[string]dbox.Compression{"": dbox.Uncompressed, "gz": dbox.Gzip, "lz4": dbox.LZ4, "zstd": dbox.Zstd}
)

// parseWriting returns how stores are written, from the values of all options.
func (p *optionParser) parseWriting(values map[string]any) mdbox.Writing {
	w := mdbox.Writing{
		LockMethod:     filelock.Method(values["lock_method"].(string)),
		MaxLockTimeout: values["mail_max_lock_timeout"].(time.Duration),
		DotlockNoExcl:  !values["dotlock_use_excl"].(bool),
		Fsync:          fsyncs[values["mail_fsync"].(string)],
		RotateSize:     uint64(values["mdbox_rotate_size"].(int64)),
		RotateInterval: values["mdbox_rotate_interval"].(time.Duration),
		Preallocate:    values["mdbox_preallocate_space"].(bool),
		Compression:    compressions[values["zlib_save"].(string)],
		SaveCRLF:       values["mail_save_crlf"].(bool),
		Index: index.Writing{
			RewriteMinLog: values["mail_index_rewrite_min_log_bytes"].(int64),
			RewriteMaxLog: values["mail_index_rewrite_max_log_bytes"].(int64),
			RotateMinSize: values["mail_index_log_rotate_min_size"].(int64),
			RotateMaxSize: values["mail_index_log_rotate_max_size"].(int64),
			RotateMinAge:  values["mail_index_log_rotate_min_age"].(time.Duration),
			Log2MaxAge:    values["mail_index_log2_max_age"].(time.Duration),
		},
		Parser: parser{message.Limits{}},
	}
	cached, always, never := values["mail_cache_fields"].(string), values["mail_always_cache_fields"].(string), values["mail_never_cache_fields"].(string)
	policy, err := cache.NewPolicy(cached, always, never)
	if err != nil {
		name, what, _ := strings.Cut(err.Error(), ": ")
		p.fail(name, "%s", what)
	}
	w.Cache = policy
	return w
}

// writingFor returns how the stores of a namespace are written; nil: not at all.
func (c *stores) writingFor(ns *backend.Namespace) *mdbox.Writing {
	if c.write == nil {
		return nil
	}
	w := *c.write
	w.NamespacePrefix, w.Separator = ns.Prefix, ns.Separator
	return &w
}

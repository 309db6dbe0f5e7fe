#!/bin/sh
# make-golden.sh [--root DIR] [SCENARIO...] - write the golden stores anew.
#
# Without --root the Dovecot 2.3 of this machine writes testdata/dovecot-2.3/*,
# with --root the Dovecot 2.4 of the Debian root in DIR writes testdata/dovecot-2.4/*:
#
#     debootstrap --variant=minbase --include=dovecot-core,dovecot-imapd trixie DIR
#
# The stores are kept exactly as Dovecot left them, but for the file modes and the
# symlink dbox-alt-root, which names a directory of this machine. Times and GUIDs
# change with every run, so tests compare with expected.json.
set -eu
cd "$(dirname "$0")"
root= series=2.3
if [ "${1:-}" = --root ]; then
	root=$2 series=2.4
	shift 2
fi

# scenario | options | what it shows
scenarios() {
	cat <<-'EOF'
	small   | --content small                     | every kind of index change: rotated logs, snapshots with .backup, 14 keywords, modseqs, expunges, copies, a purged map
	fresh   | --content fresh                     | a log without snapshot, no modseqs of messages, an empty mailbox
	tiny    | --content tiny                      | four messages as they are
	crlf    | --content tiny --crlf               | messages stored with CRLF
	gz      | --content tiny --compress gz        | messages stored as gzip
	bz2     | --content tiny --compress bz2       | messages stored as bzip2
	lz4     | --content tiny --compress lz4       | messages stored in Dovecot's LZ4 framing
	zstd    | --content tiny --compress zstd      | messages stored as zstd
	alt     | --content tiny --alt                | two messages in the alternative storage
	attach  | --content tiny --attach             | attachments in a single-instance directory
	EOF
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
scenarios | while IFS='|' read -r name opts shows; do
	name=$(echo $name)
	case " ${*:-$name} " in *" $name "*) ;; *) continue ;; esac
	if [ $series = 2.4 ]; then
		case $name in small | fresh | tiny | lz4 | zstd | alt) ;; *) continue ;; esac
	fi
	./make-store.sh --quiet ${root:+--root "$root"} $opts "$work/$name" </dev/null
	dest=dovecot-$series/$name
	rm -rf "$dest"
	mkdir -p "$dest"
	cp -R "$work/$name/home/." "$dest"
	[ ! -d "$work/$name/attachments" ] || cp -R "$work/$name/attachments" "$dest"
	cp "$work/$name/expected.json" "$dest"
	rm -f "$dest/mdbox/dbox-alt-root"
	chmod -R u=rwX,go=rX "$dest"
	cat >"$dest/README" <<-EOF
	Shows: $(echo $shows).
	Written by Dovecot $(sed -n 's/.*"dovecot": "\(.*\)".*/\1/p' "$dest/expected.json") with make-store.sh $(echo $opts); made by ../../make-golden.sh.
	EOF
done

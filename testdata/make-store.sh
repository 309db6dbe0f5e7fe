#!/bin/sh
# make-store.sh - let a real Dovecot write a sample mdbox store, and print what is in it.
#
#   make-store.sh [options] OUTDIR
#
#     --user NAME        user name of the store (testuser)
#     --owner UID[:GID]  who owns the files (root: nobody; others: the caller). Dovecot
#                        refuses to serve uid 0
#     --content WHAT     what to store: full (default), small, fresh, tiny, or bulk:N for
#                        N small messages in INBOX
#     --compress ALGO    store mails compressed: gz, bz2, lz4 or zstd
#     --crlf             keep CRLF line ends in the files (mail_save_crlf)
#     --alt              move some mails to an alternative storage directory
#     --attach           keep attachments outside of the mails, single-instance
#     --rotate SIZE      mdbox_rotate_size (32k)
#     --root DIR         use the Dovecot of the Debian root in DIR (2.4), by chroot; needs root
#     --quiet            write expected.json, but do not print it
#
# Nothing listens on the network: doveadm and the imap program run by themselves,
# the latter pre-authenticated over a pipe. The content is synthetic and the same
# on every run; only times and GUIDs differ.
#
# OUTDIR must not exist or be empty, and be reachable for the owner. Afterwards:
#
#     dovecot.conf   for  HOME=OUTDIR/home USER=NAME doveadm -c OUTDIR/dovecot.conf ...
#                    (with --root the paths in it are those of the root)
#     home/mdbox/    the store; home/mdbox-alt/ with --alt, attachments/ with --attach
#     expected.json  what is in it, as Dovecot answers (described in make_store.py)
#     dovecot.log    free of errors, or the script fails
set -eu
command -v python3 >/dev/null || { echo "make-store.sh: python3 is missing: apt-get install python3" >&2; exit 1; }
PYTHONDONTWRITEBYTECODE=1 exec python3 "$(dirname "$0")/make_store.py" "$@"

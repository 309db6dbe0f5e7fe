"""Lets a real Dovecot write a sample mdbox store; see make-store.sh for usage.

expected.json is an object:

  dovecot        version that wrote the store
  user, separator, compression (or null), subscriptions (sorted names, UTF-8)
  mailboxes      by name (UTF-8):
    mutf7        the name in modified UTF-7
    subscribed   bool
    noselect     true for a parent without mailbox; then nothing else
    guid, uidvalidity, uidnext, highestmodseq, messages, unseen, vsize
    condstore    whether a client has asked for modseqs of messages
    special_use  list
    mails        by UID: uid, seq, guid, flags (system flags but \\Recent), keywords, modseq,
                 received and saved (UNIX time), size_physical (as stored), size_virtual (CRLF),
                 refcount, sha256 (of BODY[]), sha256_body (of BODY[TEXT]), sha256_lf (of BODY[]
                 with LF line ends)
"""
import argparse
import base64
import hashlib
import imaplib
import json
import os
import pwd
import random
import re
import shlex
import shutil
import subprocess
import sys

imaplib._MAXLINE = 1 << 28
rnd = random.Random(19700101)
WORDS = ('the quick brown fox jumps over a lazy dog while seven wizards quietly mix old jam and '
         'forty zebras drink black coffee near the harbour').split()


def options():
    p = argparse.ArgumentParser(prog='make-store.sh')
    p.add_argument('--user', default='testuser')
    p.add_argument('--owner')
    p.add_argument('--content', default='full')
    p.add_argument('--compress', choices=['gz', 'bz2', 'lz4', 'zstd'])
    p.add_argument('--crlf', action='store_true')
    p.add_argument('--alt', action='store_true')
    p.add_argument('--attach', action='store_true')
    p.add_argument('--rotate', default='32k')
    p.add_argument('--root')
    p.add_argument('--quiet', action='store_true')
    p.add_argument('outdir')
    return p.parse_args()


def fail(msg):
    sys.exit('make-store.sh: ' + msg)


class Dovecot:
    """A private Dovecot whose files lie in one directory."""

    def __init__(self, opt):
        self.opt = opt
        self.root = os.path.realpath(opt.root) if opt.root else ''
        self.prefix = ['chroot', self.root] if self.root else []
        self.outdir = os.path.abspath(opt.outdir)
        if os.path.exists(self.outdir) and os.listdir(self.outdir):
            fail('%s is not empty' % self.outdir)
        os.makedirs(self.outdir, exist_ok=True)
        # With a root, the work is done inside of it and moved out at the end.
        self.dir = self.outdir
        if self.root:
            self.dir = '%s/srv/make-store-%d' % (self.root, os.getpid())
            os.makedirs(self.dir)
        self.inner = self.dir[len(self.root):]  # as Dovecot sees it
        self.set_owner()
        self.version = self.run_version()
        self.env = dict(os.environ, HOME=self.inner + '/home', USER=opt.user)

    def set_owner(self):
        if self.opt.owner:
            ids = self.opt.owner.split(':')
            self.uid = int(ids[0])
            self.gid = int(ids[-1])
        elif os.getuid() == 0:
            nobody = pwd.getpwnam('nobody')
            self.uid, self.gid = nobody.pw_uid, nobody.pw_gid
        else:
            self.uid, self.gid = os.getuid(), os.getgid()
        if self.uid == 0:
            fail('Dovecot refuses to serve uid 0; choose another --owner')

    def run_version(self):
        try:
            out = subprocess.run(self.prefix + ['dovecot', '--version'], stdout=subprocess.PIPE, check=True).stdout
        except FileNotFoundError:
            fail('dovecot is missing: apt-get install dovecot-imapd')
        version = out.decode().split()[0]
        self.is24 = version.startswith('2.4.')
        if not self.is24 and not version.startswith('2.3.'):
            fail('Dovecot 2.3 or 2.4 is needed, this is %s' % version)
        return version

    def setup(self):
        for d in ('home', 'run', 'state') + (('attachments',) if self.opt.attach else ()):
            os.makedirs(self.dir + '/' + d)
        open(self.dir + '/dovecot.log', 'w').close()
        with open(self.dir + '/dovecot.conf', 'w') as f:
            f.write(self.config())
        if os.getuid() == 0:
            for top, dirs, files in os.walk(self.dir):
                for n in [top] + [os.path.join(top, x) for x in files]:
                    os.chown(n, self.uid, self.gid)
            os.chmod(self.dir, 0o755)

    def config(self):
        d, opt = self.inner, self.opt
        lines = []
        if self.is24:
            short = re.match(r'[\d.]+', self.version).group(0)
            lines += ['dovecot_config_version = ' + short, 'dovecot_storage_version = ' + short,
                      'protocols {', '  imap = yes', '}',
                      # 2.4 keeps only these variables of the environment
                      'import_environment {', '  USER = ' + opt.user, '  HOME = %s/home' % d, '}',
                      'mail_home = %s/home' % d, 'mail_driver = mdbox', 'mail_path = ~/mdbox']
            if opt.alt:
                lines += ['mail_alt_path = ~/mdbox-alt']
            if opt.compress:
                lines += ['mail_plugins {', '  mail_compress = yes', '}',
                          'mail_compress_write_method = ' + opt.compress]
            if opt.attach:
                fail('--attach is made with Dovecot 2.3 only')
        else:
            lines += ['protocols = imap', 'stats_writer_socket_path =',
                      'mail_location = mdbox:~/mdbox' + (':ALT=~/mdbox-alt' if opt.alt else '')]
            if opt.compress:
                lines += ['mail_plugins = zlib', 'plugin {', '  zlib_save = ' + opt.compress, '}']
            if opt.attach:
                lines += ['mail_attachment_dir = %s/attachments' % d, 'mail_attachment_min_size = 1k',
                          'mail_attachment_fs = sis posix']
        lines += [
            'base_dir = %s/run' % d, 'state_dir = %s/state' % d, 'log_path = %s/dovecot.log' % d,
            'ssl = no', 'listen = 127.0.0.1', 'default_internal_user = nobody', 'default_login_user = nobody',
            'first_valid_uid = 1', 'first_valid_gid = 1',
            'mail_uid = %d' % self.uid, 'mail_gid = %d' % self.gid,
            'mdbox_rotate_size = ' + opt.rotate, 'mail_save_crlf = ' + ('yes' if opt.crlf else 'no'),
            'mail_cache_min_mail_count = 0']
        if not opt.content.startswith(('fresh', 'bulk')):
            # Small limits, so that a small store has snapshots and rotated logs.
            lines += ['mail_index_rewrite_min_log_bytes = 512', 'mail_index_rewrite_max_log_bytes = 1k',
                      'mail_index_log_rotate_min_size = 1k', 'mail_index_log_rotate_max_size = 2k']
        lines += ['namespace inbox {', '  inbox = yes', '  separator = /']
        for name, auto in (('Drafts', 'subscribe'), ('Sent', 'subscribe'), ('Junk', 'create')):
            lines += ['  mailbox %s {' % name, '    special_use = \\%s' % name, '    auto = ' + auto, '  }']
        return '\n'.join(lines + ['}', ''])

    def doveadm(self, *args):
        if self.is24:
            n = 2 if args[0] == '-f' else 0
            n += 2 if args[n] == 'mailbox' else 1
            args = args[:n] + ('--no-userdb-lookup',) + args[n:]
        p = subprocess.run(self.prefix + ['doveadm', '-c', self.inner + '/dovecot.conf', *args],
                           env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with open(self.dir + '/dovecot.log', 'ab') as f:
            f.write(p.stderr)
        if p.returncode != 0:
            fail('doveadm %s: exit code %d: %s' % (' '.join(args), p.returncode, p.stderr.decode()))
        return p.stdout

    def table(self, *args):
        return json.loads(self.doveadm('-f', 'json', *args).decode('latin-1') or '[]')

    def imap(self):
        cmd = self.prefix + ['/usr/lib/dovecot/imap', '-c', self.inner + '/dovecot.conf']
        return Session('exec env HOME=%s USER=%s %s 2>>%s' % (
            shlex.quote(self.env['HOME']), shlex.quote(self.opt.user), ' '.join(map(shlex.quote, cmd)),
            shlex.quote(self.dir + '/dovecot.log')))

    def finish(self):
        with open(self.dir + '/dovecot.log', errors='replace') as f:
            bad = [line for line in f if re.search(r'Error|Panic|Fatal|Warning', line)]
        if bad:
            fail('errors in dovecot.log:\n' + ''.join(bad))
        for d in ('run', 'state'):
            shutil.rmtree(self.dir + '/' + d)
            os.makedirs(self.dir + '/' + d, exist_ok=True)
        if self.root:
            for n in os.listdir(self.dir):
                shutil.move(self.dir + '/' + n, self.outdir + '/' + n)
            os.rmdir(self.dir)
            self.chown_all()
        os.chmod(self.outdir, 0o755)

    def chown_all(self):
        """Moving to another file system loses the owner."""
        for top, dirs, files in os.walk(self.outdir):
            for n in [top] + [os.path.join(top, x) for x in files]:
                os.chown(n, self.uid, self.gid, follow_symlinks=False)


def mutf7(s):
    """RFC 3501 section 5.1.3."""
    def encode(m):
        b = base64.b64encode(m.group(0).encode('utf-16-be')).decode()
        return '&' + b.rstrip('=').replace('/', ',') + '-'
    return re.sub('[^ -~]+', encode, s.replace('&', '&-'))


def quoted(name):
    return '"%s"' % mutf7(name).replace('\\', '\\\\').replace('"', '\\"')


class Session:
    """One IMAP session over a pipe; every command must succeed."""

    def __init__(self, command):
        self.c = imaplib.IMAP4_stream(command)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        try:
            self.c.logout()
        except imaplib.IMAP4.error:
            pass

    def ok(self, answer):
        if answer[0] != 'OK':
            fail('IMAP: %r' % (answer,))
        return answer[1]

    def create(self, *names):
        for n in names:
            self.ok(self.c.create(quoted(n)))

    def append(self, mailbox, message, flags='', day=1):
        # imaplib turns LF into CRLF here
        date = '"%02d-Feb-2024 %02d:15:30 +0200"' % (day, day % 24)
        self.ok(self.c.append(quoted(mailbox), '(%s)' % flags if flags else None, date, message))

    def select(self, mailbox, readonly=False):
        self.ok(self.c.select(quoted(mailbox), readonly))

    def uid(self, *args):
        return self.ok(self.c.uid(*args))

    def store(self, uids, change, flags):
        self.uid('STORE', uids, change, '(%s)' % flags)

    def expunge(self, uids):
        self.store(uids, '+FLAGS.SILENT', '\\Deleted')
        self.ok(self.c.expunge())


# ---- messages ----

def text(size):
    lines, n = [], 0
    while n < size:
        line = ' '.join(rnd.choices(WORDS, k=rnd.randint(3, 10)))
        lines.append(line)
        n += len(line) + 2
    return ''.join(line + '\r\n' for line in lines)


def mail(seq, subject, size=200, body=None, extra=''):
    head = ('Return-Path: <from%d@example.org>\r\n'
            'From: "Sender %d" <from%d@example.org>\r\nTo: rcpt@example.org, "Doe, Jo" <jo@example.org>\r\n'
            'Subject: %s\r\nDate: Mon, %02d Jan 2024 08:%02d:00 +0100\r\nMessage-ID: <%d.roost@example.org>\r\n%s'
            'MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n'
            % (seq, seq, seq, subject, 1 + seq % 28, seq % 60, seq, extra))
    return (head + (text(size) if body is None else body)).encode()


def multipart(seq, attachment):
    data = base64.encodebytes(rnd.randbytes(attachment)).decode().replace('\n', '\r\n')
    b, a = 'mixed-%d' % seq, 'alt-%d' % seq
    return '\r\n'.join([
        'From: =?utf-8?q?Ren=C3=A9?= <rene@example.org>', 'To: undisclosed-recipients:;', 'Cc: list@example.org',
        'Subject: =?utf-8?b?R3LDvMOfZQ==?= %d' % seq, 'Date: Tue, 6 Feb 2024 18:00:00 -0500',
        'Message-ID: <mp%d.roost@example.org>' % seq, 'In-Reply-To: <1.roost@example.org>',
        'References: <1.roost@example.org>', '\t<2.roost@example.org>', 'MIME-Version: 1.0',
        'Content-Type: multipart/mixed; boundary="%s"' % b, '', 'This is the preamble.', '--' + b,
        'Content-Type: multipart/alternative; boundary=' + a, '', '--' + a,
        'Content-Type: text/plain; charset=utf-8', 'Content-Transfer-Encoding: 8bit', '', 'Sch\u00f6ne Gr\u00fc\u00dfe', '--' + a,
        'Content-Type: text/html; charset=utf-8', 'Content-Transfer-Encoding: quoted-printable', '', '<p>Sch=C3=B6ne=20', '</p>',
        '--' + a + '--', '--' + b,
        'Content-Type: application/octet-stream; name="data.bin"', 'Content-Disposition: attachment; filename="data.bin"',
        'Content-ID: <part.%d@example.org>' % seq, 'Content-Transfer-Encoding: base64', '', data + '--' + b,
        'Content-Type: message/rfc822', '', 'From: inner@example.org', 'Subject: inner', '', 'inner text', '--' + b + '--',
        'This is the epilogue.', '']).encode()


def odd_mails():
    """Messages that break simple assumptions."""
    yield mail(60, 'no line end at the end', body='last line without end')
    yield mail(61, 'empty body', body='')
    yield b'Subject: only a header\r\n\r\n'
    yield b'this is no header\r\nand no mail\r\n'
    yield mail(62, 'bare CR', body='a\rb\r\nc\r\n')
    yield mail(63, 'utf-8 \u00fc in the header', body='\u4f60\u597d\r\n')
    yield mail(64, 'long line', body='x' * 5000 + '\r\n')
    yield mail(65, 'folded\r\n subject\r\n\there')


# ---- contents ----

def fresh(d):
    """New mailboxes: logs without snapshots, no modseqs of messages."""
    with d.imap() as c:
        c.create('Empty')
        c.append('INBOX', mail(1, 'first'), day=1)
        c.append('INBOX', mail(2, 'second'), '\\Seen $Label1', day=2)
        c.append('INBOX', mail(3, 'third'), '\\Flagged', day=3)
        c.select('INBOX')
        c.store('1', '+FLAGS', '\\Answered')
        c.expunge('2')


def tiny(d):
    """A few messages of each shape."""
    with d.imap() as c:
        c.append('INBOX', mail(1, 'plain', 600), '\\Seen', day=1)
        c.append('INBOX', multipart(2, 3000), day=2)
        c.append('INBOX', mail(60, 'no line end at the end', body='last line without end'), day=3)
        c.append('INBOX', multipart(4, 3000), '\\Seen', day=4)
    if d.opt.alt:
        d.doveadm('altmove', 'mailbox', 'INBOX', 'seen')


def small(d):
    """Every kind of change to an index, in few bytes."""
    with d.imap() as c:
        c.create('Archive', 'Archive/2024', 'Entw\u00fcrfe & Ideen')
        for i in range(1, 13):
            c.append('INBOX', mail(i, 'mail %d' % i, 100), ['', '\\Seen', '\\Seen \\Flagged', '$Forwarded'][i % 4], day=i)
        c.append('INBOX', multipart(13, 600), day=13)
        c.append('Entw\u00fcrfe & Ideen', mail(14, 'idea'), '\\Draft', day=14)
        for i in range(50):  # enough for a snapshot of the map
            c.append('Archive/2024', b'Subject: bulk %d\r\n\r\n' % i, '\\Seen')
    with d.imap() as c:
        c.select('INBOX')
        c.uid('FETCH', '1:*', '(ENVELOPE BODYSTRUCTURE INTERNALDATE RFC822.SIZE)')
        c.store('2:4', '+FLAGS', '\\Answered $Work')
        c.uid('COPY', '1:3', quoted('Archive'))
        c.expunge('2')
    with d.imap() as c:
        c.ok(c.c.enable('CONDSTORE'))
        c.select('INBOX')
        for k in range(11):
            c.store(str(5 + k % 3), '+FLAGS', 'Key%02d' % k)
        c.store('5', '-FLAGS', 'key01 key04')
        c.store('6', 'FLAGS', '\\Seen $work')
        c.uid('COPY', '1', quoted('INBOX'))
        c.uid('MOVE', '9:10', quoted('Archive/2024'))
        c.expunge('1,3,7')
        c.select('Archive')
        c.expunge('3')
    d.doveadm('purge')
    with d.imap() as c:
        c.append('INBOX', mail(20, 'after the purge', 100), day=20)
        c.select('INBOX')
        c.store('11', '+FLAGS', '\\Flagged')
        c.expunge('12')


def full(d):
    """A store as it grows: mailboxes, subscriptions, odd messages, several m.N files."""
    with d.imap() as c:
        c.create('Archive', 'Archive/2023', 'Archive/2024', 'Archive/2024/Januar', 'Projects/Alpha/Deep', 'Empty',
                 'Entw\u00fcrfe & Ideen', '\u65e5\u672c\u8a9e', '\u65e5\u672c\u8a9e/\u4f1a\u8b70', 'Old name', 'Ghost', 'Doomed')
        for n in ('INBOX', 'Archive', 'Archive/2024', 'Entw\u00fcrfe & Ideen', '\u65e5\u672c\u8a9e', 'Ghost'):
            c.ok(c.c.subscribe(quoted(n)))
        c.append('Doomed', mail(900, 'doomed'))
        for n in ('Ghost', 'Doomed'):
            c.ok(c.c.delete(quoted(n)))
        c.ok(c.c.rename(quoted('Old name'), quoted('New name')))
        for i in range(1, 15):
            flags = ['', '\\Seen', '\\Seen \\Flagged', '$Forwarded', '\\Answered \\Seen $Label1'][i % 5]
            extra = 'List-Id: <l%d.example.org>\r\n' % (i % 3) if i % 2 else ''
            c.append('INBOX', mail(i, 'mail %d' % i, rnd.choice([100, 900, 3000, 7000]), extra=extra), flags, day=i)
        c.append('INBOX', multipart(50, 4000))
        c.append('INBOX', multipart(51, 60000))  # larger than the default rotate size
        for m in odd_mails():
            c.append('INBOX', m)
        for i in range(70, 77):
            c.append('Archive/2024', mail(i, 'archived %d' % i, 3000), '\\Seen')
        c.append('\u65e5\u672c\u8a9e', mail(80, '=?utf-8?b?5pel5pys6Kqe?='))
        c.append('Sent', mail(81, 'sent', 700), '\\Seen')
        c.append('Drafts', mail(82, 'draft'), '\\Draft')
        for i in range(200, 240):  # enough for a snapshot of the map
            c.append('Archive/2023', mail(i, 'bulk %d' % i, 60), '\\Seen')
    with d.imap() as c:
        c.ok(c.c.enable('CONDSTORE'))
        c.select('INBOX')
        c.store('2:4', '+FLAGS.SILENT', '\\Flagged $Work')
        c.store('5', '-FLAGS', '\\Seen')
        for k in range(12):
            c.store(str(8 + k % 4), '+FLAGS', 'kw%02d' % k)
        c.uid('COPY', '1:3', quoted('Archive'))
        c.uid('COPY', '15', quoted('Archive'))
        c.uid('COPY', '1', quoted('INBOX'))
        c.uid('MOVE', '9', quoted('Projects/Alpha/Deep'))
        c.uid('COPY', '10', quoted('\u65e5\u672c\u8a9e/\u4f1a\u8b70'))
        c.uid('FETCH', '1:*', '(ENVELOPE BODYSTRUCTURE RFC822.SIZE INTERNALDATE BODY.PEEK[HEADER.FIELDS (List-Id References)])')
        c.uid('FETCH', '1:5', '(BODY.PEEK[TEXT])')
        c.expunge('6,8,12')
        c.select('Archive')
        c.expunge('2')
        c.select('Archive/2024')
        c.expunge('1:3')
    d.doveadm('purge')
    with d.imap() as c:
        for i in range(100, 104):
            c.append('INBOX', mail(i, 'after the purge %d' % i, 1500))
        c.select('INBOX')
        c.expunge('11')  # leaves a message without references
        c.store('3', '+FLAGS', '\\Answered')
        c.uid('FETCH', '1:*', '(ENVELOPE RFC822.SIZE)')
    if d.opt.alt:
        d.doveadm('altmove', 'mailbox', 'Archive/2024', 'seen')
        d.doveadm('purge')


def bulk(d, count):
    """One large mailbox, filled by APPEND in one session."""
    with d.imap() as c:
        for i in range(1, count + 1):
            c.append('INBOX', mail(i, 'bulk %d' % i, 100), '\\Seen' if i % 3 else '', day=1 + i % 28)


CONTENTS = {'full': full, 'small': small, 'fresh': fresh, 'tiny': tiny}


# ---- what is in it ----

def bodies(c, mailbox):
    """BODY[] and BODY[TEXT] by UID."""
    c.select(mailbox, True)
    res, cur = {}, None
    for part in c.uid('FETCH', '1:*', '(BODY.PEEK[] BODY.PEEK[TEXT])'):
        if isinstance(part, tuple):
            m = re.search(rb'UID (\d+)', part[0])
            if m:
                cur = res.setdefault(int(m.group(1)), {})
            cur['text' if b'BODY[TEXT]' in part[0] else 'full'] = part[1]
    return res


def keeps_modseqs(d, mailbox):
    """Whether the extension modseq was ever introduced in the mailbox's index."""
    box = '%s/home/mdbox/mailboxes/%s/dbox-Mails/dovecot.index' % (d.dir, mutf7(mailbox))
    for f in (box, box + '.log', box + '.log.2'):
        if os.path.exists(f):
            with open(f, 'rb') as g:
                if b'modseq\0\0' in g.read():
                    return True
    return False


def describe(d):
    names = sorted(set(d.doveadm('mailbox', 'list', '-8').decode().split('\n')) - {''})
    subs = sorted(set(d.doveadm('mailbox', 'list', '-8', '-s').decode().split('\n')) - {''})
    exp = {'dovecot': d.version, 'user': d.opt.user, 'separator': '/', 'compression': d.opt.compress,
           'subscriptions': subs, 'mailboxes': {}}
    condstore = {n for n in names if keeps_modseqs(d, n)}
    with d.imap() as c:
        content = {}
        for n in names:
            if c.c.select(quoted(n), True)[0] == 'OK':
                content[n] = bodies(c, n)
    for n in names:
        box = exp['mailboxes'][n] = {'vname': n, 'mutf7': mutf7(n), 'subscribed': n in subs}
        if n not in content:
            box['noselect'] = True
            continue
        st = d.table('mailbox', 'status', 'messages uidnext uidvalidity highestmodseq vsize guid unseen', n)[0]
        box['guid'] = st['guid']
        for k in ('uidvalidity', 'uidnext', 'highestmodseq', 'messages', 'unseen', 'vsize'):
            box[k] = int(st[k])
        box['condstore'] = n in condstore
        box['special_use'] = ['\\' + n] if n in ('Drafts', 'Sent', 'Junk') else []
        box['mails'] = [describe_mail(r, content[n][int(r['uid'])], n in condstore) for r in d.table(
            'fetch', 'uid seq guid flags date.received.unixtime date.saved.unixtime size.physical size.virtual refcount'
            + (' modseq' if n in condstore else ''), 'mailbox', n, 'all')]
        if n not in condstore:  # asking for modseqs would start to keep them
            for m in box['mails']:
                m['modseq'] = box['highestmodseq']
    return exp


def describe_mail(r, body, condstore):
    flags = r['flags'].split()
    whole, part = body.get('full', b''), body.get('text', b'')
    res = {k: int(r[k]) for k in ('uid', 'seq', 'refcount') + (('modseq',) if condstore else ())}
    res.update(
        guid=r['guid'], flags=sorted(f for f in flags if f[0] == '\\' and f != '\\Recent'),
        keywords=sorted(f for f in flags if f[0] != '\\'),
        received=int(r['date.received.unixtime']), saved=int(r['date.saved.unixtime']),
        size_physical=int(r['size.physical']), size_virtual=int(r['size.virtual']),
        sha256=hashlib.sha256(whole).hexdigest(), sha256_body=hashlib.sha256(part).hexdigest(),
        sha256_lf=hashlib.sha256(whole.replace(b'\r\n', b'\n')).hexdigest())
    return res


def main():
    opt = options()
    m = re.fullmatch(r'bulk:(\d+)', opt.content)
    if not m and opt.content not in CONTENTS:
        fail('--content %s: want bulk:N or one of %s' % (opt.content, ', '.join(CONTENTS)))
    d = Dovecot(opt)
    try:
        d.setup()
        if m:
            bulk(d, int(m.group(1)))
        else:
            CONTENTS[opt.content](d)
        exp = describe(d)
        with open(d.dir + '/expected.json', 'w') as f:
            json.dump(exp, f, indent=1, ensure_ascii=False)
            f.write('\n')
        d.finish()
    finally:
        if d.root and os.path.exists(d.dir):
            log = d.dir + '/dovecot.log'
            if os.path.exists(log):  # it failed: keep what Dovecot says
                shutil.copy(log, d.outdir)
            shutil.rmtree(d.dir)
    if not opt.quiet:
        with open(d.outdir + '/expected.json') as f:
            sys.stdout.write(f.read())


main()

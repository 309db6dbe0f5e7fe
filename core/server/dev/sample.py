#!/usr/bin/env python3
"""Makes sample.tar.gz, the store that "roost dev" serves: a small mdbox store written by a real Dovecot.

    python3 sample.py OUTPUT.tar.gz

Needs Debian's dovecot-imapd (2.3). No daemon is started: the imap binary runs alone, pre-authenticated
over a pipe. Run by root, it works as nobody.
"""
import base64
import grp
import gzip
import imaplib
import io
import os
import pwd
import shlex
import subprocess
import sys
import tarfile
import tempfile

out = sys.argv[1]
top = tempfile.mkdtemp(prefix='roost-sample')
os.chmod(top, 0o755)
conf = top + '/dovecot.conf'
uid, gid = os.getuid(), os.getgid()
if uid == 0:
    uid, gid = pwd.getpwnam('nobody').pw_uid, grp.getgrnam('nogroup').gr_gid
os.mkdir(top + '/home')
os.chown(top + '/home', uid, gid)
log = top + '/dovecot.log'
open(log, 'w').close()
os.chown(log, uid, gid)
with open(conf, 'w') as f:
    f.write(f'''base_dir = {top}/run
state_dir = {top}/state
log_path = {log}
ssl = no
protocols = imap
default_internal_user = nobody
default_login_user = nobody
first_valid_uid = 0
first_valid_gid = 0
mail_uid = {uid}
mail_gid = {gid}
stats_writer_socket_path =
mail_location = mdbox:~/mdbox
mail_home = {top}/home
mdbox_rotate_size = 4k
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Sent {{
    special_use = \\Sent
    auto = subscribe
  }}
}}
''')

PNG = base64.b64decode('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==')


def mail(headers, body):
    head = ''.join(f'{k}: {v}\n' for k, v in headers)
    return (head + '\n' + body).replace('\n', '\r\n').encode()


def message(subject, sender, date, number, extra=(), body='', to='demo@example.org'):
    return mail([('From', sender), ('To', to), ('Subject', subject), ('Date', date),
                 ('Message-ID', f'<sample.{number}@example.org>'), ('MIME-Version', '1.0'), *extra], body)


ALICE, BOB = 'Alice Example <alice@example.org>', '=?utf-8?q?Bj=C3=B6rn?= <bjorn@example.org>'
TEXT = ('Content-Type', 'text/plain; charset=utf-8')
INBOX = [
    (r'(\Seen)', '01-Mar-2024 09:00:00 +0000', message(
        'Welcome to roost', ALICE, 'Fri, 1 Mar 2024 09:00:00 +0000', 1, [TEXT],
        'This store was written by Dovecot and is served by roost.\n\nList it:   LIST "" "*"\nRead it:   FETCH 1 BODY[]\n')),
    (r'(\Flagged)', '02-Mar-2024 10:30:00 +0100', message(
        '=?utf-8?q?Gr=C3=BC=C3=9Fe_aus_K=C3=B6ln?=', BOB, 'Sat, 2 Mar 2024 10:30:00 +0100', 2,
        [TEXT, ('Content-Transfer-Encoding', 'quoted-printable')],
        'Sch=C3=B6ne Gr=C3=BC=C3=9Fe, =E2=82=AC 5 sind unterwegs.\nBj=C3=B6rn\n')),
    (r'()', '03-Mar-2024 12:00:00 +0000', message(
        'Two versions of one text', ALICE, 'Sun, 3 Mar 2024 12:00:00 +0000', 3,
        [('Content-Type', 'multipart/alternative; boundary="alt"')],
        '--alt\nContent-Type: text/plain; charset=utf-8\n\nplain\n--alt\nContent-Type: text/html; charset=utf-8\n\n<p><b>html</b></p>\n--alt--\n')),
    (r'(\Seen \Answered $Label1)', '04-Mar-2024 08:15:00 +0000', message(
        'A picture and a forwarded mail', ALICE, 'Mon, 4 Mar 2024 08:15:00 +0000', 4,
        [('Content-Type', 'multipart/mixed; boundary="mix"')],
        '--mix\nContent-Type: text/plain\n\nSee below.\n'
        '--mix\nContent-Type: image/png; name="dot.png"\nContent-Disposition: attachment; filename="dot.png"\n'
        'Content-Transfer-Encoding: base64\n\n' + base64.encodebytes(PNG).decode() +
        '--mix\nContent-Type: message/rfc822\n\nFrom: bob@example.net\nSubject: inner\nDate: Sun, 3 Mar 2024 07:00:00 +0000\n'
        'Content-Type: text/plain\n\nThe inner text.\n--mix--\n')),
    (r'()', '05-Mar-2024 18:45:00 +0000', message(
        'A longer text', BOB, 'Tue, 5 Mar 2024 18:45:00 +0000', 5, [TEXT],
        ''.join(f'Line {i} of a text that is long enough to be fetched in parts.\n' for i in range(1, 121)))),
]
SENT = [(r'(\Seen)', '01-Mar-2024 09:30:00 +0000', message(
    'Re: Welcome to roost', 'Demo User <demo@example.org>', 'Fri, 1 Mar 2024 09:30:00 +0000', 6,
    [('In-Reply-To', '<sample.1@example.org>'), ('References', '<sample.1@example.org>'), TEXT], 'Thank you.\n', 'alice@example.org'))]
PROJECTS = [(r'()', '06-Mar-2024 11:00:00 +0000', message(
    'Notes', ALICE, 'Wed, 6 Mar 2024 11:00:00 +0000', 7, [TEXT], 'In a mailbox whose name is not ASCII.\n'))]

os.environ.update(HOME=top + '/home', USER='demo')
imap = imaplib.IMAP4_stream('exec /usr/lib/dovecot/imap -c %s 2>>%s' % (shlex.quote(conf), shlex.quote(log)))
assert imap.state == 'AUTH', imap.welcome


def ok(answer):
    assert answer[0] == 'OK', answer


for name, mails in (('INBOX', INBOX), ('Sent', SENT), ('"Projects/K&APY-ln"', PROJECTS)):
    if name != 'INBOX':
        imap.create(name)  # Sent may exist already
        ok(imap.subscribe(name))
    for flags, date, text in mails:
        ok(imap.append(name, flags, '"' + date + '"', text))
    ok(imap.select(name))  # writes the index
    ok(imap.fetch('1:*', '(ENVELOPE BODYSTRUCTURE INTERNALDATE RFC822.SIZE)'))  # fills the cache
    ok(imap.close())
imap.logout()
subprocess.run(['doveadm', '-c', conf, 'index', '*'], check=True)
errors = [line for line in open(log) if 'Error' in line or 'Panic' in line]
assert not errors, errors

raw = io.BytesIO()
with tarfile.open(fileobj=raw, mode='w', format=tarfile.PAX_FORMAT) as tar:
    def clean(info):
        info.uid = info.gid = 0
        info.uname = info.gname = ''
        return None if info.name.endswith('.lock') else info
    tar.add(top + '/home/mdbox', 'mdbox', filter=clean)
with open(out, 'wb') as f:
    f.write(gzip.compress(raw.getvalue(), 9, mtime=0))
subprocess.run(['rm', '-r', top], check=True)

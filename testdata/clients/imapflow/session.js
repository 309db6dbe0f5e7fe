// A session of ImapFlow: reads everything, then changes mail in a mailbox of its own while a second connection watches.
// Prints what it saw as JSON; what differs between any two servers or runs (times, UIDVALIDITY) is left out.
'use strict';
const { ImapFlow } = require('imapflow');
const crypto = require('crypto');
const fs = require('fs');

const [host, port, user, cert] = process.argv.slice(2);
const sha256 = b => crypto.createHash('sha256').update(b).digest('hex');

function client(options) {
    return new ImapFlow({
        host, port: Number(port), secure: true, logger: false, qresync: true,
        auth: { user, pass: 'pass' }, tls: { ca: fs.readFileSync(cert) }, ...options
    });
}

// once resolves with the next event that fits.
function once(emitter, name, fits = () => true) {
    return new Promise(resolve => {
        const on = e => {
            if (fits(e)) {
                emitter.off(name, on);
                resolve(e);
            }
        };
        emitter.on(name, on);
    });
}

async function readAll(c, out) {
    out.mail = {};
    for (const box of await c.list()) {
        if (box.flags.has('\\Noselect') || box.flags.has('\\NonExistent')) {
            continue;
        }
        const lock = await c.getMailboxLock(box.path, { readOnly: true });
        try {
            const mails = (out.mail[box.path] = {});
            if (c.mailbox.exists) {
                for await (const m of c.fetch('1:*', { uid: true, source: true, bodyStructure: true, envelope: true })) {
                    mails[m.uid] = { sha256: sha256(m.source), size: m.source.length, type: m.bodyStructure.type, subject: m.envelope.subject || '' };
                }
            }
        } finally {
            lock.release();
        }
    }
}

async function change(c, out) {
    await c.mailboxCreate('Flow/Sub');
    await c.mailboxSubscribe('Flow/Sub');
    await c.mailboxRename('Flow/Sub', 'Flow/Täst');
    out.paths = (await c.list()).map(b => b.path + (b.subscribed ? ' subscribed' : '')).filter(p => p.startsWith('Flow')).sort();

    const watcher = client();
    await watcher.connect();
    await watcher.mailboxOpen('Flow/Täst');
    out.enabled = [...watcher.enabled].filter(e => e === 'QRESYNC' || e === 'CONDSTORE').sort();
    const text = n => `From: a@example.org\r\nTo: b@example.org\r\nSubject: number ${n}\r\nDate: Wed, 1 Jan 2020 00:00:0${n} +0000\r\n\r\ntext ${n}\r\n`;

    let seen = once(watcher, 'exists', e => e.count === 1);
    watcher.idle();
    const first = await c.append('Flow/Täst', text(1), ['\\Seen', 'work'], new Date('2020-01-01T00:00:01Z'));
    out.appended = first.uid;
    await seen;
    seen = once(watcher, 'exists', e => e.count === 5); // flags of messages that it does not know of yet are not told
    for (let n = 2; n <= 5; n++) {
        await c.append('Flow/Täst', text(n), n % 2 ? ['\\Flagged'] : []);
    }
    await seen;

    const lock = await c.getMailboxLock('Flow/Täst');
    out.search = {
        seen: await c.search({ seen: true }, { uid: true }),
        or: await c.search({ or: [{ keyword: 'work' }, { flagged: true }] }, { uid: true }),
        subject: await c.search({ subject: 'number 4' }, { uid: true }),
        header: await c.search({ header: { To: 'b@example' } }, { uid: true })
    };
    seen = once(watcher, 'flags', e => e.seq === 2 && e.flags.has('\\Answered'));
    out.flagged = await c.messageFlagsAdd({ uid: '2:3' }, ['\\Answered'], { uid: true });
    await seen;
    seen = once(watcher, 'expunge');
    out.deleted = await c.messageDelete('3', { uid: true });
    const gone = await seen;
    out.vanished = [gone.uid || gone.seq, gone.vanished === true];
    const copied = await c.messageCopy('1:*', 'Flow');
    out.copied = [...copied.uidMap];
    const moved = await c.messageMove('4:5', 'Flow', { uid: true });
    out.moved = [...moved.uidMap];
    out.left = (await c.fetchAll('1:*', { uid: true, flags: true })).map(m => [m.uid, [...m.flags].filter(f => f !== '\\Recent').sort()]);
    const { content } = await c.download('1', '1');
    let body = '';
    for await (const chunk of content) {
        body += chunk;
    }
    out.downloaded = body;
    lock.release();
    out.status = await c.status('Flow', { messages: true, uidNext: true, unseen: true });
    delete out.status.path;
    await watcher.logout();
    await c.mailboxDelete('Flow/Täst');
    await c.mailboxUnsubscribe('Flow/Täst');
}

async function main() {
    const c = client();
    await c.connect();
    const out = { compressed: !!c.capabilities.get('COMPRESS=DEFLATE') };
    await readAll(c, out);
    await c.mailboxCreate('Flow');
    await change(c, out);
    await c.logout();
    process.stdout.write(JSON.stringify(out));
}

main().catch(err => {
    console.error(err, err.response || '');
    process.exit(1);
});

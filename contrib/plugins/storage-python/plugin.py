#!/usr/bin/python3
"""A roost storage plugin in Python: shows an mbox file per user as INBOX, read-only.

New messages may be appended while it runs; a file whose first message changes
becomes another mailbox (UIDVALIDITY). Messages in the middle must not be
removed: UIDs are their numbers. The file is read for each call.
"""

import calendar
import hashlib
import os
import struct
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))  # also when sha256 pins this file, and it is started by the number of a descriptor
sys.path[:0] = [HERE, os.path.join(HERE, "gen")]

import roost_plugin
from roost.plugin.v1 import plugin_pb2
from roost.storage.v1 import storage_pb2, storage_pb2_grpc
from roost_plugin import PluginError

SEEN = 8
PIECE = 256 << 10  # bytes of a body in one response
ROWS = 50_000  # messages in one response


def not_found():
    return PluginError(plugin_pb2.ERROR_KIND_NOT_FOUND, "no such mailbox")


def column(kind, values):
    """Returns a column: "I" uint32, "Q" uint64, "q" int64."""
    return struct.pack("<%d%s" % (len(values), kind), *values)


class Message:
    def __init__(self, date):
        self.date, self.text, self.seen = date, b"", False

    def end(self):
        """Is called when all lines are there."""
        # The empty line before the next From line is not the message's, unless it is the end of the header.
        if self.text.endswith(b"\r\n\r\n") and self.text.index(b"\r\n\r\n") < len(self.text) - 4:
            self.text = self.text[:-2]
        self.guid = hashlib.sha256(self.text).hexdigest()[:32].encode()
        self.seen = any(b"R" in value for name, value in fields(self.header()) if name == b"status")

    def header(self):
        """Returns the header with its empty line; everything if there is none."""
        if self.text.startswith(b"\r\n"):
            return b"\r\n"
        head, empty, _ = self.text.partition(b"\r\n\r\n")
        return head + empty


def fields(header):
    """Yields the name of each field, in small letters, and all of its lines."""
    name, lines = b"", b""
    for line in header.splitlines(keepends=True):
        if line == b"\r\n":
            break
        if line[:1] in b" \t" and lines:
            lines += line
            continue
        if lines:
            yield name, lines
        name, lines = line.partition(b":")[0].strip().lower(), line
    if lines:
        yield name, lines


def from_date(line):
    """Returns the date of a line "From jane@example.org Tue Mar  3 10:00:00 2026", as UNIX time."""
    try:
        return calendar.timegm(time.strptime(" ".join(line.decode().split()[2:7]), "%a %b %d %H:%M:%S %Y"))
    except (ValueError, OverflowError):
        return 86400


def parse(data):
    """Cuts an mbox file (RFC 4155) into messages: each starts with a line "From ", which an empty line or the begin of the file comes before."""
    messages, lines, empty = [], [], True
    for line in data.split(b"\n"):
        line = line.rstrip(b"\r")
        if empty and line.startswith(b"From "):
            if messages:
                messages[-1].text = b"".join(lines)
            messages.append(Message(from_date(line)))
            lines, empty = [], False
            continue
        empty = not line
        if line.startswith(b">") and line.lstrip(b">").startswith(b"From "):
            line = line[1:]
        lines.append(line + b"\r\n")
    if messages:
        if lines and lines[-1] == b"\r\n" and data.endswith(b"\n"):
            lines.pop()  # what split has made of the last line end
        messages[-1].text = b"".join(lines)
    for m in messages:
        m.end()
    return messages


class Mailbox:
    """An mbox file as it was at one moment. The UID of a message is its number in the file, from 1."""

    def __init__(self, path):
        try:
            with open(path, "rb") as f:
                data = f.read()
        except FileNotFoundError:
            raise not_found()
        except OSError as error:
            raise PluginError(plugin_pb2.ERROR_KIND_UNAVAILABLE, "the mailbox can not be read", str(error))
        if data and not data.startswith(b"From "):
            raise PluginError(plugin_pb2.ERROR_KIND_CORRUPTED, "the mailbox is damaged", path + ' is no mbox file: it does not start with "From "')
        self.messages = parse(data)
        self.id = hashlib.sha256(path.encode(errors="surrogateescape")).digest()[:16]
        first = b"%d %s" % (self.messages[0].date, self.messages[0].guid) if self.messages else b""
        self.validity = max(1, int.from_bytes(hashlib.sha256(first).digest()[:4], "big") & 0x7FFFFFFF)
        self.uid_next = self.mod_seq = len(self.messages) + 1  # the file grows, and that is all that can change
        self.position = struct.pack(">II", self.validity, len(self.messages))

    def header(self):
        return storage_pb2.SnapshotHeader(
            mailbox_id=self.id,
            uid_validity=self.validity,
            uid_next=self.uid_next,
            first_recent_uid=self.uid_next,
            highest_mod_seq=self.mod_seq,
            message_count=len(self.messages),
            position=self.position,
        )

    def columns(self, first=0):
        """Yields the messages from number first on, which counts from 0."""
        for at in range(first, len(self.messages), ROWS):
            some = self.messages[at : at + ROWS]
            yield storage_pb2.Columns(uids=column("I", range(at + 1, at + 1 + len(some))), flags=bytes(SEEN if m.seen else 0 for m in some))


class Plugin(storage_pb2_grpc.StorageServicer):
    path = ""

    def info(self):
        option = plugin_pb2.Option(name="path", type="string", required=True, help="the mbox file; %u is the user's name")
        return plugin_pb2.InfoResponse(
            kind="storage", name="storage-python", version="1.0.0", description="shows an mbox file as INBOX, read-only", options=[option]
        )

    def configure(self, options, request):
        if not options.get("path"):
            raise PluginError(plugin_pb2.ERROR_KIND_INVALID_ARGUMENT, "option path is empty", option="path")
        self.path = os.path.join(request.base_dir, options["path"])

    def close(self):
        pass

    def open(self, user, name):
        """Reads the file of a mailbox. There is only INBOX."""
        if name != "INBOX" or not user or user.startswith(".") or "/" in user or "\0" in user:
            raise not_found()
        return Mailbox(self.path.replace("%u", user))

    def ListMailboxes(self, request, context):
        yield storage_pb2.ListMailboxesResponse(mailboxes=[storage_pb2.MailboxInfo(name="INBOX", no_inferiors=True)])

    def Status(self, request, context):
        response = storage_pb2.StatusResponse()
        for name in request.names:
            try:
                box = self.open(request.user.name, name)
            except PluginError as error:
                response.mailboxes.add(error=plugin_pb2.Error(kind=error.kind, message=error.message, detail=error.detail))
                continue
            response.mailboxes.add(
                messages=len(box.messages),
                unseen=sum(not m.seen for m in box.messages),
                uid_next=box.uid_next,
                uid_validity=box.validity,
                highest_mod_seq=box.mod_seq,
                size=sum(len(m.text) for m in box.messages),
                mailbox_id=box.id,
            )
        return response

    def Open(self, request, context):
        box = self.open(request.mailbox.user.name, request.mailbox.name)
        yield storage_pb2.OpenResponse(header=box.header())
        for columns in box.columns():
            yield storage_pb2.OpenResponse(messages=columns)

    def Changes(self, request, context):
        box = self.open(request.mailbox.user.name, request.mailbox.name)
        known = struct.unpack(">II", request.position) if len(request.position) == 8 else (0, 0)
        if known[0] != box.validity or known[1] > len(box.messages):
            yield storage_pb2.ChangesResponse(reset=box.header())
            for columns in box.columns():
                yield storage_pb2.ChangesResponse(reset_messages=columns)
            return
        header = storage_pb2.ChangesHeader(
            uid_next=box.uid_next,
            first_recent_uid=box.uid_next,
            highest_mod_seq=box.mod_seq,
            position=box.position,
            appended_count=len(box.messages) - known[1],
        )
        yield storage_pb2.ChangesResponse(header=header)
        for columns in box.columns(known[1]):
            yield storage_pb2.ChangesResponse(appended=columns)

    def Fetch(self, request, context):
        box = self.open(request.mailbox.user.name, request.mailbox.name)
        if request.mailbox_id and request.mailbox_id != box.id:
            raise not_found()
        if len(request.uids) % 4:
            raise PluginError(plugin_pb2.ERROR_KIND_INVALID_ARGUMENT, detail="column uids of %d bytes" % len(request.uids))
        wanted = {name.lower().encode() for name in request.header_fields}
        for (uid,) in struct.iter_unpack("<I", request.uids):
            if not 0 < uid <= len(box.messages):
                continue
            message = box.messages[uid - 1]
            body = part(message, request)
            some = b"".join(lines for name, lines in fields(message.header()) if name in wanted)
            first = body[:PIECE]
            yield storage_pb2.FetchResponse(
                uids=column("I", [uid]),
                lengths=column("I", [len(message.guid), len(some), 0, len(first)]),
                sizes=column("Q", [len(message.text)]),
                internal_dates=column("q", [message.date]),
                body_sizes=column("Q", [len(body)]),
                # BODYSTRUCTURE is roost's to find out: it gets the whole message.
                body_is_message=bytes([bool(request.items & storage_pb2.FETCH_ITEM_BODY_STRUCTURE)]),
                data=message.guid + some + first,
            )
            for at in range(PIECE, len(body), PIECE):
                yield storage_pb2.FetchResponse(body=body[at : at + PIECE])


def part(message, request):
    """Returns what of a message is asked for."""
    if request.items & storage_pb2.FETCH_ITEM_BODY_STRUCTURE:
        return message.text
    if request.items & storage_pb2.FETCH_ITEM_HEADER:
        return message.header()
    if request.items & storage_pb2.FETCH_ITEM_BODY:
        return message.text[request.offset : request.offset + request.length if request.length else None]
    return b""


if __name__ == "__main__":
    roost_plugin.serve(Plugin(), storage_pb2_grpc.add_StorageServicer_to_server)

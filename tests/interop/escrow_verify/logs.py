"""Section 19: entries, the tree, notes, checkpoints and cosignatures."""
import base64
import json
import re
import struct

from . import strict
from .keys import ed25519, sha256
from .strict import Bad, digest, listed, match, number, record, seat, text, word

ENTRY = 65_535
NOTE = 65_536

LATEST = 253_402_300_799_999     # the last millisecond of the year 9999
REFUSALS = """
answer-invalid approver-in-scope approver-is-recipient approver-is-requestor bad-signature charter-fork charter-invalid
charter-stale charter-unaccepted charter-unknown clock-skew consent-expired consent-floor consent-scope consent-unknown
consent-withdrawn cosignatures-missing deal-invalid deal-replayed denied device-taken early-withdrawals filter-team-on-case
generation item-scope item-unknown key-not-valid key-revoked malformed matter-chain matter-closed matter-unknown
mixed-generations not-enrolled not-entitled not-submittable notice-delay pending permit-invalid permits-missing policy-denies
policy-error policy-not-agreed policy-unknown quorum-missing recipient-in-scope recipient-is-requestor recipient-key
recovery-delay recovery-not-own recovery-vetoed request-cancelled request-expired request-limits request-unknown
requestor-in-scope requestor-limits requestor-operates-seat wrong-org wrong-signer""".split()

_digests = listed(digest, ordered=True)
STATEMENTS = {
    "charter", "enrolment", "revocation", "consent", "withdrawal", "deposit", "matter", "request", "cancellation", "decision",
    "self-recovery", "veto", "query", "verdict"}


def _body(event, **members):
    return record(event=word(event), **members)


BODIES = {
    "genesis": _body("genesis", seat=seat),
    "charter.accepted": _body("charter-accepted", charter=digest),
    "release.authorized": _body("authorized", request=digest, decisions=_digests, permits=_digests, answers=_digests),
    "release.delivered": _body("delivered", authorized=number(), note=digest, request=digest, reply=digest, attempt=number()),
    "release.aborted": _body("aborted", authorized=number(), request=digest, reason=strict.code),
    "witness.cosigned": _body("cosigned", origin=text, size=number(), root=digest),
    "refused": _body("refused", kind=text, rule=word(*REFUSALS), statement=digest),
    "log.continued": _body("continued", log=text, root=digest, seat=seat, size=number()),
    "clock.anomaly": _body("clock", by_ms=number(-strict.INT_MAX)),
    "misbehaviour": _body("misbehaviour", first=digest, origin=text, second=digest),
    "node.ready": _body("ready", peers=listed(seat)),
}
NAMES_STATEMENT = {"genesis": "charter", "release.authorized": "release-call", "release.delivered": "release"}
_type = match(r"[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*)*", "an entry type")
_shape = {name: shape for name, shape in (
    ("v", number(1, 1)), ("log", text), ("seq", number()), ("ts", number()), ("prev", digest), ("type", _type),
    ("stmt", digest), ("env", digest), ("body", lambda v: v))}
ORDER = list(_shape)


def canonical(value):
    """RFC 8785 for what a body may hold; raises Bad for the rest."""
    if isinstance(value, dict):
        if not all(name.isascii() and not name.startswith("$") for name in value):
            raise Bad("a member name that is not ASCII or begins with $")
        return "{" + ",".join(f"{canonical(n)}:{canonical(value[n])}" for n in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


class Entry:
    """One entry, decoded from its one encoding."""

    def __init__(self, data):
        value = strict.parse(data, ENTRY)
        if not isinstance(value, dict) or not isinstance(value.get("body"), dict):
            raise Bad("no entry")
        names = list(value)
        if names not in (ORDER, [n for n in ORDER if n not in ("stmt", "env")]):
            raise Bad("members missing, unknown or in another order")
        for name in names:
            setattr(self, name, _shape[name](value[name]))
        if len(self.type) > 40:
            raise Bad("entry type too long")
        self.stmt, self.env = value.get("stmt"), value.get("env")
        again = "{" + ",".join(f'"{n}":{canonical(value[n])}' for n in names) + "}"
        if again.encode() != data:
            raise Bad("not the one encoding of this entry")
        self.data = data
        self.leaf = sha256(b"\0" + data)


def read_body(entry):
    """The body under its type's table; raises Bad."""
    if entry.type in STATEMENTS:
        out = _body("statement")(entry.body)
    elif entry.type in BODIES:
        out = BODIES[entry.type](entry.body)
    else:
        raise Bad(f"unknown entry type {entry.type}")
    named = entry.type in STATEMENTS or entry.type in NAMES_STATEMENT
    if named != (entry.stmt is not None):
        raise Bad("names a statement where it should not, or none where it should")
    if entry.ts > LATEST:
        raise Bad("a time that no text can say")
    return out


def names_besides(entry):
    """What an entry names beside its statement, whatever else is wrong with it: payload digests, digests of notes."""
    if entry.type != "misbehaviour" and not entry.type.startswith("release."):
        return set(), set()
    lists = (entry.body.get(n) for n in ("permits", "answers"))
    payloads = {d for values in lists if isinstance(values, list) for d in values if isinstance(d, str)}
    return payloads, {d for n in ("note", "first", "second") if isinstance(d := entry.body.get(n), str)}


class Tree:
    """All roots of a growing RFC 6962 tree: root(size) for any size up to the present."""

    def __init__(self, leaves):
        self.levels = [list(leaves)]
        while len(self.levels[-1]) > 1:
            row = self.levels[-1]
            self.levels.append([sha256(b"\1" + row[i] + row[i + 1]) for i in range(0, len(row) - 1, 2)])
        self.size = len(self.levels[0])

    def root(self, size):
        if size == 0:
            return sha256(b"")
        parts, start = [], 0
        for bit in reversed(range(size.bit_length())):
            if size >> bit & 1:
                parts.append(self.levels[bit][start >> bit])
                start += 1 << bit
        out = parts.pop()
        while parts:
            out = sha256(b"\1" + parts.pop() + out)
        return out


_line = re.compile(r"\u2014 ([^\s+]+) ([A-Za-z0-9+/=]+)")
_size = re.compile(r"0|[1-9][0-9]*", re.ASCII)


class Note:
    """A signed note: text, and lines of (name, key id, signature)."""

    def __init__(self, data):
        if len(data) > NOTE:
            raise Bad("a note has at most 65536 bytes")
        try:
            whole = data.decode("utf-8")
        except UnicodeDecodeError as e:
            raise Bad("a note is UTF-8") from e
        if any(c < " " and c != "\n" for c in whole):
            raise Bad("control character in a note")
        split = whole.rfind("\n\n")
        if split < 0 or not whole.endswith("\n"):
            raise Bad("a note ends in signature lines after an empty line")
        self.text, self.data = whole[:split + 1], data
        self.lines = []
        rows = whole[split + 2:].split("\n")[:-1]
        if not 1 <= len(rows) <= 100:
            raise Bad("1 to 100 signature lines")
        for row in rows:
            parts = _line.fullmatch(row)
            if not parts:
                raise Bad("no signature line")
            raw = strict.blob(parts[2])
            if len(raw) < 5:
                raise Bad("a signature too short")
            self.lines.append((parts[1], raw[:4], raw[4:]))


class Checkpoint:
    """A checkpoint's three lines: origin, size, root. Unverified."""

    def __init__(self, data):
        self.note = Note(data)
        rows = self.note.text.split("\n")
        if len(rows) != 4 or rows[3]:
            raise Bad("a checkpoint has exactly three lines")
        self.origin = rows[0]
        if not self.origin or not _size.fullmatch(rows[1]) or int(rows[1]) >= 2**64:
            raise Bad("origin or size of a checkpoint")
        self.size, self.root = int(rows[1]), strict.blob(rows[2])
        if len(self.root) != 32:
            raise Bad("a root has 32 bytes")
        if self.size == 0 and self.root != sha256(b""):
            raise Bad("of size 0 there is one root")


def base64_of(data):
    return base64.b64encode(data).decode()


def note_key_id(name, kind, key):
    return sha256(name.encode() + b"\n" + bytes([kind]) + key)[:4]


def log_signed(note, name, key):
    """True if a line of the log key verifies; Bad if one of it fails."""
    ours = [s for n, i, s in note.lines if n == name and i == note_key_id(name, 1, key)]
    for signature in ours:
        if not ed25519(key, note.text.encode(), signature):
            raise Bad(f"a line of {name} does not verify")
    return bool(ours)


def cosigned(note, name, key):
    """The newest time, in seconds, at which this witness cosigned the note; None if never; Bad if a line of it fails."""
    newest = None
    ours = [s for n, i, s in note.lines if n == name and i == note_key_id(name, 4, key)]
    for signature in ours:
        if len(signature) != 72:
            raise Bad(f"a cosignature of {name} has another length")
        when, = struct.unpack(">Q", signature[:8])
        if when >= 2**63:
            raise Bad(f"a cosignature of {name} at a time that is none")
        message = f"cosignature/v1\ntime {when}\n{note.text}".encode()
        if not ed25519(key, message, signature[8:]):
            raise Bad(f"a cosignature of {name} does not verify")
        newest = max(when, newest or 0)
    return newest

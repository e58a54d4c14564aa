"""Evidence bundles written by hand, whose every key is ours: what nodes, officers and administrators could sign.

The bytes follow docs/protocol.md and nothing else, so that a misdeed which no builder of the product would write can be
told all the same. forged/ has the stories."""
import base64
import copy
import datetime
import hashlib
import json
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from escrow_verify import keys, logs
from escrow_verify.evidence import READ, README

START = 1_795_253_400_000
EXPORT = base64.b64encode(b"\7" * 16).decode()


def sha(data):
    return hashlib.sha256(data).digest()


def hexed(data):
    """A digest of `data`, as JSON has it."""
    return sha(data).hex()


def b64(data):
    return base64.b64encode(data).decode()


def time(millis):
    """The text of an instant, the last one for all after it."""
    at = datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=min(millis, logs.LATEST))
    return f"{at:%Y-%m-%dT%H:%M:%S}.{min(millis, logs.LATEST) % 1000:03}Z"


class Key:
    """An Ed25519 key that its name gives."""

    def __init__(self, name):
        self.secret = Ed25519PrivateKey.from_private_bytes(sha(name.encode()))
        self.raw = self.secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.text = "ed25519:" + b64(self.raw)
        self.id = keys.Key(self.text).id


class Log:
    """A log that says whatever one adds to it."""

    def __init__(self, origin, seat, number=1, key=None, ts=START):
        self.origin, self.seat, self.number = origin, seat, number
        self.key, self.ts = key or Key(f"log {seat}"), ts
        self.rows, self.prev, self.witnesses = [], "0" * 64, ()

    def add(self, kind, body, statement=None, at=None):
        """Appends an entry a second later, or `at`; `statement`: (digest, envelope digest). Answers its position."""
        self.ts = at if at is not None else self.ts + 1000
        entry = {"v": 1, "log": self.origin, "seq": len(self.rows), "ts": self.ts, "prev": self.prev, "type": kind}
        if statement:
            entry |= zip(("stmt", "env"), statement)
        entry["body"] = body
        row = "{" + ",".join(f'"{name}":{logs.canonical(value)}' for name, value in entry.items()) + "}"
        self.rows.append(row.encode())
        self.prev = hexed(b"\0" + self.rows[-1])
        return entry["seq"]

    def say(self, statement):
        """Logs a statement as an entry of its kind."""
        return self.add(statement.kind, {"event": "statement"}, statement.names)

    def head(self):
        tree = logs.Tree([sha(b"\0" + row) for row in self.rows])
        return tree.size, tree.root(tree.size)

    def text(self):
        size, root = self.head()
        return f"{self.origin}\n{size}\n{b64(root)}\n"

    def note(self):
        return signed(self.text(), self.origin, self.key, self.witnesses)


def signed(text, origin, key, witnesses=()):
    """A note; `witnesses`: (name, key, time in seconds) of each cosignature."""
    line = lambda name, kind, k, signature: f"\u2014 {name} {b64(logs.note_key_id(name, kind, k.raw) + signature)}\n"
    out = f"{text}\n" + line(origin, 1, key, key.secret.sign(text.encode()))
    for name, witness, at in witnesses:
        message = f"cosignature/v1\ntime {at}\n{text}".encode()
        out += line(name, 4, witness, struct.pack(">Q", at) + witness.secret.sign(message))
    return out.encode()


class Statement:
    """A signed envelope around a body of a kind."""

    def __init__(self, kind, body, signers):
        self.kind, self.body = kind, body
        payload = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        media = f"application/vnd.escrow.{kind}.v1+json"
        message = b"DSSEv1 %d %s %d %s" % (len(media), media.encode(), len(payload), payload)
        signatures = [{"keyid": k.id, "sig": b64(k.secret.sign(message))} for k in signers]
        envelope = {"payload": b64(payload), "payloadType": media, "signatures": signatures}
        self.bytes = json.dumps(envelope, separators=(",", ":")).encode()
        self.digest = hexed(payload)
        self.names = (self.digest, hexed(self.bytes))


class World:
    """An organisation of three seats under a charter like the template, and the files of a bundle about it."""

    def __init__(self, template):
        self.nonces = 0
        self.charter = copy.deepcopy(template)
        for seat in self.charter["seats"]:
            for member, name in (("statement_key", "seat"), ("log_key", "log"), ("witness_key", "witness")):
                seat[member] = Key(f"{name} {seat['index']}").text
        for person in self.charter["people"]:
            for key in person["keys"]:
                key["key"] = Key(person["id"]).text
        self.org, self.limits = self.charter["org"], self.charter["limits"]
        self.admins = self.with_role("admin")
        self.genesis = Statement("charter", self.charter, self.admins)

    def nonce(self):
        self.nonces += 1
        return b64(sha(str(self.nonces).encode())[:16])

    def with_role(self, role):
        return [Key(p["id"]) for p in self.charter["people"] if role in p["roles"]]

    def who(self, role):
        return next(p["id"] for p in self.charter["people"] if role in p["roles"])

    def seat(self, index, charter=None):
        return next(s for s in (charter or self.charter)["seats"] if s["index"] == index)

    def witness(self, seat, at):
        return f"{self.org}/{seat}/witness", Key(f"witness {seat}"), at

    def statement(self, kind, signers, charter=None, **body):
        """A statement under a version, the genesis if none is given."""
        under = (charter or self.genesis).digest
        return Statement(kind, {"kind": kind, "org": self.org, "nonce": self.nonce(), "charter": under, **body}, signers)

    def successor(self, before, change=None, signers=()):
        """The version after one, changed; signed by the administrators and whoever else."""
        body = copy.deepcopy(before.body)
        body |= {"nonce": self.nonce(), "version": body["version"] + 1, "previous": before.digest, "voided": []}
        if change:
            change(body)
        return Statement("charter", body, [*self.admins, *signers])

    def logs(self, genesis=None, body=None, statement=None):
        """Three logs that begin as they should; the first with this genesis copy, body or reference."""
        out = []
        for seat in (1, 2, 3):
            log = Log(self.seat(seat)["log_origin"], seat)
            first = seat == 1
            named = statement if first and statement else (genesis or self.genesis).names if first else self.genesis.names
            log.add("genesis", body if first and body else {"event": "genesis", "seat": seat}, named)
            self.ready(log)
            out.append(log)
        return out

    def ready(self, log):
        log.add("node.ready", {"event": "ready", "peers": [s for s in (1, 2, 3) if s != log.seat]})

    def accept(self, log, charter):
        log.say(charter)
        log.add("charter.accepted", {"event": "charter-accepted", "charter": charter.digest})

    def bundle(self, logs_, charters=(), statements=(), notes=(), views=(), full=False):
        """A bundle's files; `views`: (viewer, viewed, envelope, time)."""
        files, times = {}, [json.loads(row)["ts"] for log in logs_ for row in log.rows]
        versions = sorted([self.genesis, *charters], key=lambda c: (c.body["version"], *c.names))
        for place, charter in enumerate(versions, 1):
            files[f"data/charters/{place:04}.json"] = charter.bytes
        for log in logs_:
            folder = f"data/logs/{log.seat}/{log.number}"
            files[f"{folder}/entries.jsonl"] = b"".join(row + b"\n" for row in log.rows)
            files[f"{folder}/checkpoint.txt"] = log.note()
        files |= {f"data/statements/{s.names[1]}.json": s.bytes for s in statements}
        files |= {f"data/attachments/{hexed(note)}": note for note in notes}
        for viewer, viewed, view, at in views:
            files[f"data/views/{viewer}-{viewed}.json"] = view.bytes
            times.append(at)
        index = {
            "schema": "escrow.bundle.v1", "org": self.org, "charter": self.genesis.digest, "export": EXPORT,
            "created": time(max(times)),
            "logs": [{"seat": x.seat, "number": x.number, "origin": x.origin, "size": len(x.rows)} for x in logs_],
            "variant": "full" if full else "no-content",
            # A version of the reports that nobody knows, so that none need be made.
            "report": "none", "requests": []}
        files["data/bundle.json"] = (json.dumps(index, indent=2) + "\n").encode()
        rows = "".join(f"  seat {x['seat']}: {x['size']} entries, {x['origin']}\n" for x in index["logs"])
        files["data/README.txt"] = README.format(
            without="" if full else " WITHOUT CONTENT", read=READ[index["variant"]], org=self.org,
            charter=self.genesis.digest, created=index["created"], logs=rows, requests="").encode()
        return self.bagged(files, index)

    def bagged(self, files, index):
        listed = lambda of: "".join(f"{hexed(of[p])}  {p}\n" for p in sorted(of)).encode()
        info = (f"Bag-Software-Agent: escrow.bundle.v1\nBagging-Date: {index['created'][:10]}\n"
                f"External-Identifier: {self.org}\nBag-Group-Identifier: {self.genesis.digest}\n"
                f"Payload-Oxum: {sum(map(len, files.values()))}.{len(files)}\n")
        tags = {
            "bag-info.txt": info.encode(), "bagit.txt": b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
            "manifest-sha256.txt": listed(files)}
        return files | tags | {"tagmanifest-sha256.txt": listed(tags)}

"""Bundles altered by somebody without keys, who recomputes every unkeyed hash or none: material for agree.py."""
import base64
import hashlib
import json
import random

# What no second verifier makes again (docs/protocol.md section 20.1): nothing is altered there but with the manifests as they are.
REPORTS = ("data/report/custody.json", "data/report/custody.html", "data/report/certificate-902.md")
MANIFEST, TAGS = "manifest-sha256.txt", "tagmanifest-sha256.txt"
INDEX, README, INFO = "data/bundle.json", "data/README.txt", "bag-info.txt"


def sha(data):
    return hashlib.sha256(data).hexdigest()


def encode(entry):
    """An entry's one encoding, of its members in their order."""
    order = ("v", "log", "seq", "ts", "prev", "type", "stmt", "env", "body")
    sort = lambda v: {k: sort(v[k]) for k in sorted(v)} if isinstance(v, dict) else v
    members = {k: sort(entry[k]) if k == "body" else entry[k] for k in order if k in entry}
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()


class Remade(dict):
    """Files of which the reports, too, are to be made anew: by the program that made the corpus."""


class Bundle:
    """A copy of a bundle's files with the means of an attacker."""

    def __init__(self, files):
        self.files = dict(files)

    def index(self):
        return json.loads(self.files[INDEX])

    def set_index(self, index):
        """Writes the index, and the README that follows from it."""
        before = self.index()
        self.files[INDEX] = (json.dumps(index, indent=2, ensure_ascii=False) + "\n").encode()
        text = self.files[README].decode()
        head, _, tail = text.partition("\nLogs:\n")
        _, _, tail = tail.partition("Folders of data/:")
        for member in ("charter", "org", "created"):
            head = head.replace(str(before[member]), str(index[member]))
        logs = "".join(f"  seat {x['seat']}: {x['size']} entries, {x['origin']}\n" for x in index["logs"])
        requests = "".join(f"  {r}\n" for r in index["requests"])
        self.files[README] = f"{head}\nLogs:\n{logs}Requests:\n{requests}Folders of data/:{tail}".encode()

    def log(self, seat):
        data = self.files[f"data/logs/{seat}/1/entries.jsonl"]
        return [json.loads(line) for line in data.split(b"\n")[:-1]]

    def set_log(self, seat, entries, renumber=True, chain=True):
        """Writes a log, numbered and chained anew, and an index that fits it."""
        before, lines = "0" * 64, []
        for position, entry in enumerate(entries):
            if renumber:
                entry["seq"] = position
            if chain:
                entry["prev"] = before
            lines.append(encode(entry))
            before = sha(b"\0" + lines[-1])
        self.files[f"data/logs/{seat}/1/entries.jsonl"] = b"".join(x + b"\n" for x in lines)
        index = self.index()
        for named in index["logs"]:
            if named["seat"] == seat:
                named["size"] = len(lines)
        self.set_index(index)

    def replace(self, old, new):
        """Every log that names `old` names `new`, and is chained anew."""
        for named in self.index()["logs"]:
            path = f"data/logs/{named['seat']}/{named['number']}/entries.jsonl"
            if old.encode() in self.files[path]:
                self.files[path] = self.files[path].replace(old.encode(), new.encode())
                self.set_log(named["seat"], self.log(named["seat"]))

    def change(self, path, data):
        """Other bytes for a file, which gets the name that they give it wherever it is named."""
        old, new = sha(self.files[path]), sha(data)
        if path.startswith("data/statements/"):
            payload = lambda raw: sha(base64.b64decode(json.loads(raw)["payload"]))
            try:
                pairs = [(payload(self.files[path]), payload(data))]
            except (ValueError, KeyError, TypeError):
                pairs = []
            del self.files[path]
            path = f"data/statements/{new}.json"
            for a, b in [(old, new), *pairs]:
                self.replace(a, b)
        elif path.startswith("data/attachments/"):
            del self.files[path]
            path = f"data/attachments/{new}"
            self.replace(old, new)
        self.files[path] = data
        return path

    def pack(self):
        """bag-info and both manifests anew."""
        payload = {p: b for p, b in self.files.items() if p.startswith("data/")}
        if INFO in self.files:
            head = self.files[INFO].partition(b"Payload-Oxum")[0]
            oxum = f"Payload-Oxum: {sum(map(len, payload.values()))}.{len(payload)}\n"
            self.files[INFO] = head + oxum.encode()
        return Remade(self.manifests())

    def manifests(self):
        listed = lambda paths: "".join(f"{sha(self.files[p])}  {p}\n" for p in sorted(paths)).encode()
        self.files[MANIFEST] = listed(p for p in self.files if p.startswith("data/"))
        self.files[TAGS] = listed(p for p in (INFO, "bagit.txt", MANIFEST) if p in self.files)
        return self.files


def flip(data, at, bit=0):
    out = bytearray(data)
    out[at] ^= 1 << bit
    return bytes(out)


def kind_of(data):
    return json.loads(data)["payloadType"].split(".")[-2]


def swap_payload(data, old, new):
    """An envelope with other words in its payload and the old signatures."""
    e = json.loads(data)
    e["payload"] = base64.b64encode(base64.b64decode(e["payload"]).replace(old, new)).decode()
    return json.dumps(e, separators=(",", ":")).encode()


def flips(base, rng):
    """One bit anywhere: as a disk would, and with all that follows made anew."""
    per_kind = {}
    for path in sorted(base):
        kind = "/".join(path.split("/")[:2])
        per_kind.setdefault(kind, []).append(path)
    for kind, paths in per_kind.items():
        for _ in range(3):
            path = rng.choice(paths)
            at, bit = rng.randrange(len(base[path])), rng.randrange(7)
            yield "bit flipped", {**base, path: flip(base[path], at, bit)}
            if path in (MANIFEST, TAGS, *REPORTS):
                continue
            b = Bundle(base)
            b.change(path, flip(base[path], at, bit))
            yield "bit flipped, hashes recomputed", b.manifests() if path == INFO else b.pack()


def files(base, others, rng):
    for path in sorted(base):
        b = Bundle(base)
        del b.files[path]
        yield "file removed", dict(b.files)
        if path not in (MANIFEST, TAGS, INDEX):
            yield "file removed, manifests recomputed", b.pack()
    stray = [(p, d) for o in others for p, d in o.items() if p.split("/")[1:2] in (["statements"], ["attachments"])]
    additions = [("data/notes.txt", b"x"), ("notes.txt", b"x"), ("data/logs/9/1/entries.jsonl", b""),
                 ("data/logs/1/2/entries.jsonl", b""), ("data/charters/0002.json", base["data/charters/0001.json"]),
                 ("data/statements/x.json", b"{}"), ("data/a b", b"x"), ("data/attachments/" + sha(b"x"), b"x"),
                 ("data/views/1-9.json", base["data/views/1-2.json"]), *rng.sample(stray, 5)]
    b = Bundle({**base, "notes.txt": b"x"})
    b.pack()
    b.files[TAGS] = "".join(f"{sha(b.files[p])}  {p}\n" for p in (INFO, "bagit.txt", MANIFEST, "notes.txt")).encode()
    yield "file added, manifests recomputed", b.files
    for path, data in additions:
        if path not in base:
            yield "file added", {**base, path: data}
            yield "file added, manifests recomputed", Bundle({**base, path: data}).pack()
    views = [p for p in base if p.startswith("data/views/")]
    for a, b in (("data/charters/0001.json", "data/charters/0007.json"), (views[0], "data/views/3-3.json"),
                 (views[0], views[1]), ("data/logs/1/1/entries.jsonl", "data/logs/1/2/entries.jsonl"),
                 ("data/README.txt", "data/readme.txt"), ("bag-info.txt", "bag-information.txt")):
        copy = {p: d for p, d in base.items() if p not in (a, b)}
        copy[b] = base[a]
        if b in base:
            copy[a] = base[b]
        yield "files renamed or swapped", copy
        yield "files renamed or swapped, manifests recomputed", Bundle(copy).pack()


def entries(base, rng):
    """One log told otherwise, by somebody who chains it anew and keeps the node's note."""
    def edit(how):
        b = Bundle(base)
        seat = rng.choice(b.index()["logs"])["seat"]
        log = b.log(seat)
        more = how(log) or {}
        b.set_log(seat, log, **more)
        return b.pack()

    def at(log, change):
        change(log[rng.randrange(2, len(log))])

    cases = [
        ("entry dropped", lambda log: log.pop(rng.randrange(1, len(log))) and None),
        ("entry dropped", lambda log: log.pop() and None),
        ("entry dropped", lambda log: log.clear()),
        ("entries swapped", lambda log: log.insert(3, log.pop(4))),
        ("entry duplicated", lambda log: log.insert(5, dict(log[5]))),
        ("entries not renumbered", lambda log: log.pop(4) and {"renumber": False}),
        ("entries not chained anew", lambda log: log.pop(4) and {"chain": False}),
        ("entry changed", lambda log: at(log, lambda e: e.update(ts=e["ts"] + 1))),
        ("entry changed", lambda log: at(log, lambda e: e.update(type="node.ready"))),
        ("entry changed", lambda log: at(log, lambda e: e.update(body={"event": "statement", "more": 1}))),
        ("entry changed", lambda log: at(log, lambda e: e.update(log="acme/9/log"))),
        ("entry changed", lambda log: at(log, lambda e: e.update(stmt="0" * 64, env="0" * 64))),
        ("entry changed", lambda log: at(log, lambda e: e.update(v=2))),
        ("log without its last entries", lambda log: log.__delitem__(slice(len(log) // 2, None))),
    ]
    for kind, how in cases:
        for _ in range(2):
            yield kind, edit(how)
    for data in (lambda d: d.replace(b"\n", b"\r\n"), lambda d: d[:-1], lambda d: b"\n" + d, lambda d: d + b"\n",
                 lambda d: d.replace(b'{"v":1', b'{"v": 1', 1), lambda d: d.replace(b'"v":1', b'"v":1.0', 1), lambda d: b""):
        b = Bundle(base)
        path = "data/logs/2/1/entries.jsonl"
        b.files[path] = data(base[path])
        yield "lines spelled otherwise", b.pack()


def notes(base):
    """Checkpoints with other lines or another text."""
    path = "data/logs/1/1/checkpoint.txt"
    note = base[path].decode()
    text, _, rest = note.partition("\n\n")
    rows = rest.splitlines()
    other = base["data/logs/2/1/checkpoint.txt"].decode()
    line = rows[0].split(" ")
    spoiled = base64.b64encode(flip(base64.b64decode(line[2]), 20)).decode()
    stranger = base64.b64encode(b"abcd" + bytes(64)).decode()
    foreign = [r for r in other.partition("\n\n")[2].splitlines()]
    origin, size, root = text.split("\n")
    cosigned = [p for p, d in sorted(base.items()) if p.startswith("data/attachments/") and d.startswith(origin.encode())]
    build = lambda text, rows: (text + "\n\n" + "".join(r + "\n" for r in rows)).encode()
    cases = [
        ("note swapped with another log's", other.encode()),
        ("note line removed", build(text, rows[1:])), ("note without lines", (text + "\n").encode()),
        ("note line duplicated", build(text, rows + rows[:1])),
        ("note line spoiled", build(text, [f"{line[0]} {line[1]} {spoiled}", *rows[1:]])),
        ("note line of an unlisted key", build(text, [*rows, f"\u2014 nobody {stranger}"])),
        ("note line of an unlisted key", build(text, [*rows, f"\u2014 {origin} {stranger}"])),
        ("note line of another note", build(text, [*rows, *foreign])),
        ("note text changed", build(f"{origin}\n{int(size) + 1}\n{root}", rows)),
        ("note text changed", build(f"{origin}\n0{size}\n{root}", rows)),
        ("note text changed", build(f"{origin}x\n{size}\n{root}", rows)),
        ("note text changed", build(f"{text}\nmore", rows)),
        ("note spelled otherwise", note.replace("\n", "\r\n").encode()), ("note spelled otherwise", note[:-1].encode()),
        ("note spelled otherwise", note.replace("\u2014 ", "- ").encode()), ("note spelled otherwise", b"\xff" + note.encode()),
        ("note spelled otherwise", (note + "\n").encode()), ("note spelled otherwise", note.replace("=\n", "\n").encode()),
    ]
    for earlier in cosigned[:1]:
        cases.append(("note of an earlier size", base[earlier]))
    for kind, data in cases:
        yield kind, Bundle({**base, path: data}).pack()
    for note_path in cosigned[:2]:
        whole = base[note_path].decode()
        head, _, tail = whole.partition("\n\n")
        for kind, left in (("cosignature removed from a delivery's note", tail.splitlines()[:1]),
                           ("cosignature duplicated in a delivery's note", tail.splitlines() + tail.splitlines()[-1:])):
            b = Bundle(base)
            b.change(note_path, build(head, left))
            yield kind, b.pack()
    # The bundle's own note may carry lines of listed witnesses.
    for n in cosigned[:1]:
        lines = base[n].decode().partition("\n\n")[2].splitlines()
        yield "cosignature of another size", Bundle({**base, path: build(text, rows + lines[1:])}).pack()


def index(base):
    """The index told otherwise; what follows from it made anew."""
    changes = [
        ("index: another export", lambda i: i.update(export="AAAAAAAAAAAAAAAAAAAAAA==")),
        ("index: another organisation", lambda i: i.update(org="other")),
        ("index: another charter", lambda i: i.update(charter="0" * 64)),
        ("index: another time", lambda i: i.update(created="2030-01-01T00:00:00.000Z")),
        ("index: a log left out", lambda i: i["logs"].pop()),
        ("index: another size", lambda i: i["logs"][0].update(size=i["logs"][0]["size"] + 1)),
        ("index: another origin", lambda i: i["logs"][0].update(origin="acme/7/log")),
        ("index: another number", lambda i: i["logs"][0].update(number=2)),
        ("index: another variant", lambda i: i.update(variant="no-content", requests=[])),
        ("index: reports of another version", lambda i: i.update(report="escrow.custody.v9")),
        ("index: no request", lambda i: i["requests"].clear()),
        ("index: another request", lambda i: i.update(requests=["0" * 64])),
        ("index: a log of no seat", lambda i: i["logs"].append({"seat": 9, "number": 1, "origin": "acme/9/log", "size": 0})),
    ]
    for kind, change in changes:
        b = Bundle(base)
        i = b.index()
        change(i)
        b.set_index(i)
        yield kind, b.pack()
    text = base[INDEX]
    for old, new in ((b"  ", b" "), (b"{\n", b"{", ), (b'"schema"', b'"schema" '), (b"v1", b"v2"), (b"]\n}", b'],\n  "more": 1\n}'),
                     (b'"seat": 1', b'"seat": 1.0'), (b'"seat": 1', b'"seat": 1, "seat": 1'), (b'"seat": 1', b'"seat": 0'),
                     (b'"seat": 1', b'"seat": "1"'), (b'"number": 1', b'"number": 0'), (b'"org"', b'"\\u006frg"'),
                     (b'"logs": [', b'"logs": [null,'), (b".000Z", b"Z"), (b'"size": ', b'"size": -'), (b"\n", b"\r\n")):
        if old in text:
            yield "index spelled otherwise", Bundle({**base, INDEX: text.replace(old, new, 1)}).pack()
    for data in (b"", b"{}", b"[]", b"null", text[:-1], text + b"\n", b"\xef\xbb\xbf" + text, b"[" * 30 + b"]" * 30, b"\xff"):
        yield "index spelled otherwise", Bundle({**base, INDEX: data}).pack()


def manifests(base):
    rows = base[MANIFEST].split(b"\n")
    swap = b"\n".join([rows[1], rows[0], *rows[2:]])
    tags = base[TAGS]
    cases = [
        ("manifest", {MANIFEST: swap}), ("manifest", {MANIFEST: base[MANIFEST][:-1]}),
        ("manifest", {MANIFEST: base[MANIFEST].upper()}), ("manifest", {MANIFEST: base[MANIFEST].replace(b"  ", b" ", 1)}),
        ("manifest", {MANIFEST: rows[0] + b"\n" + base[MANIFEST]}), ("manifest", {MANIFEST: b"\n".join(rows[1:])}),
        ("manifest", {MANIFEST: base[MANIFEST] + b"0" * 64 + b"  data/z\n"}),
        ("manifest", {MANIFEST: base[MANIFEST] + b"0" * 64 + b"  z\n"}), ("manifest", {MANIFEST: b""}),
        ("tag manifest", {TAGS: b""}), ("tag manifest", {TAGS: tags + tags}),
        ("tag manifest", {TAGS: b"\n".join(tags.split(b"\n")[1:])}),
        ("tag manifest", {TAGS: tags + sha(base[README]).encode() + b"  data/README.txt\n"}),
        ("declaration", {"bagit.txt": base["bagit.txt"].replace(b"1.0", b"0.97")}), ("declaration", {"bagit.txt": b""}),
        ("declaration", {"bagit.txt": base["bagit.txt"] + b"\n"}),
        ("bag-info", {INFO: base[INFO] + b"Contact-Name: me\n"}), ("bag-info", {INFO: base[INFO].replace(b": ", b":")}),
        ("bag-info", {INFO: base[INFO].replace(b"External-Identifier: ", b"External-Identifier: X")}),
        ("bag-info", {INFO: b""}), ("README", {README: base[README] + b"\n"}), ("README", {README: b""}),
        ("README", {README: base[README].replace(b"EVIDENCE", b"Evidence")}),
    ]
    for kind, changed in cases:
        yield f"{kind} told otherwise", {**base, **changed}
        b = Bundle({**base, **changed})
        if MANIFEST in changed:
            b.files[TAGS] = "".join(f"{sha(b.files[p])}  {p}\n" for p in (INFO, "bagit.txt", MANIFEST)).encode()
            yield f"{kind} told otherwise, tags recomputed", b.files
        elif TAGS not in changed:
            yield f"{kind} told otherwise, manifests recomputed", b.manifests()


def envelopes(base):
    """One statement of each kind, its envelope or payload spelled otherwise; every hash and log made anew."""
    seen = {}
    for path, data in sorted(base.items()):
        if path.startswith(("data/statements/", "data/charters/", "data/views/")):
            seen.setdefault(kind_of(data), path)
    spaced = lambda d: json.dumps(json.loads(d), indent=1).encode()
    again = lambda d: json.dumps(json.loads(d) | {"signatures": json.loads(d)["signatures"] * 2}, separators=(",", ":")).encode()
    unsigned = lambda d: json.dumps(json.loads(d) | {"signatures": []}, separators=(",", ":")).encode()
    ways = [
        ("envelope with white space", spaced), ("envelope with much white space", lambda d: b" " * 5000 + d),
        ("envelope with a member twice", lambda d: d.replace(b'"payloadType"', b'"payload":"","payloadType"', 1)),
        ("envelope with another member", lambda d: d[:-1] + b',"more":1}'), ("signature twice", again),
        ("signatures removed", unsigned), ("payload of another nonce", lambda d: swap_payload(d, b'"nonce":"', b'"nonce":"A')),
        ("payload with white space", lambda d: swap_payload(d, b'"kind":', b'"kind": ')),
        ("payload with a member twice", lambda d: swap_payload(d, b'{"kind":', b'{"org":"acme","kind":')),
        ("envelope of another type", lambda d: d.replace(b".v1+json", b".v2+json")),
        ("envelope that is none", lambda d: b"{}"),
    ]
    for number, (kind, path) in enumerate(sorted(seen.items())):
        for way in range(4):
            name, how = ways[(number + way * 3) % len(ways)]
            b = Bundle(base)
            b.change(path, how(base[path]))
            yield name, b.pack()


def views(base):
    paths = sorted(p for p in base if p.startswith("data/views/"))
    for path in paths:
        yield "view removed", Bundle({p: d for p, d in base.items() if p != path}).pack()
    yield "views removed", Bundle({p: d for p, d in base.items() if p not in paths}).pack()
    yield "views removed", Bundle({p: d for p, d in base.items() if p not in paths[1:]}).pack()
    yield "view in place of another", Bundle({**base, paths[0]: base[paths[1]]}).pack()
    yield "view in place of another", Bundle({**base, paths[0]: base[paths[-1]]}).pack()


def all_of(bases, seed):
    """(kind, files) of every mutation of the first of `bases`, which lends from the others."""
    rng = random.Random(seed)
    base, *others = bases
    yield from flips(base, rng)
    yield from files(base, others, rng)
    yield from entries(base, rng)
    yield from notes(base)
    yield from index(base)
    yield from manifests(base)
    yield from envelopes(base)
    yield from views(base)

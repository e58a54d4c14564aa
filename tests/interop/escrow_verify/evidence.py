"""The bytes layer of section 21: every file in its place, bound by a log, by a signature or by what it follows from."""
import json
import re

from . import logs, statements, strict
from .charters import Charter, check_charter
from .keys import hexdigest
from .statements import Envelope
from .strict import Bad, digest, listed, nonce, number, org, record, seat, show_time, text, word

README = """EVIDENCE BUNDLE{without} of {org}

This folder holds signed logs, statements and views of escrow nodes. It shows who asked for
messages to become readable, why, who approved, what each node decided under which rule and
to which key it released. It holds no key, no share and no message.

TO READ (folder data/; nothing here proves anything before the bundle is verified)

{read}
TO VERIFY

You need the digest of the organisation's first charter FROM A SOURCE OF YOUR OWN: its
operators, a notary, a court file. This bundle claims

  {charter}

and proves nothing if you copy the digest from here. Then run, without any network:

  escrow verify FOLDER --charter-digest DIGEST

It answers OK, TAMPERED (altered), MISBEHAVIOUR (a key contradicted itself), VIOLATION (an
act against the rules), INCOMPLETE or MALFORMED, and lists every finding. By hand:

  sha256sum -c tagmanifest-sha256.txt && sha256sum -c manifest-sha256.txt

checks that the files are as they were packed, and nothing else.

CONTENTS (newest time in the evidence: {created})

Logs:
{logs}Requests:
{requests}Folders of data/: charters, logs, statements (signed envelopes by digest), attachments
(policy contexts and countersigned log heads), views (what each node holds of the others).
"""

READ = {
    "full": """report/custody.html (who did what when, and where that is on record, to print),
report/custody.json (the same for programs), report/counts.csv,
report/certificate-902.md (a draft for counsel).
""",
    "no-content": """report/counts.csv, report/certificate-902.md (a draft for counsel). What people
signed is left out: this bundle shows that logs and releases are in order in form, and
cannot show who asked, for what, and who approved. Its verification says INCOMPLETE.
"""}
REPORTS = {
    "full": {"certificate-902.md", "counts.csv", "custody.html", "custody.json"},
    "no-content": {"certificate-902.md", "counts.csv"}}

_index = record(
    schema=word("escrow.bundle.v1"), org=org, charter=digest, export=nonce, created=strict.time,
    logs=listed(record(seat=seat, number=strict.u32, origin=text, size=number()), ordered=True,
                key=lambda x: (x["seat"], x["number"])),
    variant=word(*READ), report=text, requests=listed(digest, ordered=True))


class Log:
    """One node's log: what its note signs, entry by entry."""

    def __init__(self, path, seat_index, number_, origin):
        self.path, self.seat, self.number, self.origin = path, seat_index, number_, origin
        self.rows, self.entries, self.tree, self.head = [], [], None, None

    @property
    def verdicts(self):
        """Digests of the verdicts that its entries name."""
        return {e.stmt for e in self.entries if e.type == "verdict"}


class Evidence:
    """What a bundle holds, after its bytes were checked against the pinned genesis digest."""

    def __init__(self, files, report):
        self.files, self.report, self.pinned = files, report, report.pinned
        self.charters, self.statements, self.logs, self.views = {}, {}, [], []
        self.by_digest = {}
        try:
            self.read_index()
        except Bad as e:
            report.add("MALFORMED", "index", "data/bundle.json", e)
            return
        self.places()
        self.read_envelopes()
        if report.altered or not self.read_charters():
            return
        for named in self.index["logs"]:
            self.read_log(named)
        if report.altered:
            return
        self.read_views()
        self.bind()
        self.follow()

    def tampered(self, rule, file, detail="", **more):
        self.report.add("TAMPERED", rule, file, detail, **more)

    def read_index(self):
        data = self.files.get("data/bundle.json")
        if data is None:
            raise Bad("missing")
        self.raw_index = strict.parse(data, 1 << 26)
        self.index = _index(self.raw_index)
        names = ["schema", "org", "charter", "export", "created", "logs", "variant", "report", "requests"]
        ordered = {n: self.raw_index[n] for n in names}
        ordered["logs"] = [{n: x[n] for n in ("seat", "number", "origin", "size")} for x in ordered["logs"]]
        if (json.dumps(ordered, indent=2, ensure_ascii=False) + "\n").encode() != data:
            raise Bad("not the one spelling of this index")
        self.full = self.index["variant"] == "full"
        if self.index["requests"] and not self.full:
            raise Bad("without content a bundle names no request")

    def under(self, folder):
        return {p: b for p, b in self.files.items() if p.startswith(f"data/{folder}/")}

    def places(self):
        known = {f"{x['seat']}/{x['number']}" for x in self.index["logs"]}
        patterns = {
            "charters": r"[0-9]{4}\.json", "statements": r"[0-9a-f]{64}\.json", "attachments": r"[0-9a-f]{64}",
            "views": r"[1-9][0-9]{0,2}-[1-9][0-9]{0,2}\.json", "logs": r"([1-9][0-9]*/[1-9][0-9]*)/(entries\.jsonl|checkpoint\.txt)"}
        for path in self.files:
            if not path.startswith("data/") or path in ("data/README.txt", "data/bundle.json") \
                    or path.startswith("data/report/"):
                continue
            folder, _, rest = path.removeprefix("data/").partition("/")
            found = folder in patterns and re.fullmatch(patterns[folder], rest, re.ASCII)
            if not found or folder == "logs" and found[1] not in known:
                self.tampered("place", path, "nothing of a bundle stands there")

    def envelope(self, path, data):
        try:
            return Envelope(data)
        except Bad as e:
            self.tampered("envelope", path, e)
            return None

    def read_envelopes(self):
        self.charter_files = []
        for path, data in sorted(self.under("charters").items()):
            e = self.envelope(path, data)
            if e and e.kind != "charter":
                self.tampered("place", path, "not a charter")
            elif e and any(e.env == other.env for _, other in self.charter_files):
                self.tampered("place", path, "there twice")
            elif e:
                self.charter_files.append((path, e))
        order = lambda f: (f[1].body["version"] if f[1].sound else strict.INT_MAX + 1, f[1].digest, f[1].env)
        for place, (path, e) in enumerate(sorted(self.charter_files, key=order), 1):
            if path != f"data/charters/{place:04}.json":
                self.tampered("name", path, "charters are numbered by version, digest and envelope digest")
        for path, data in self.under("statements").items():
            if hexdigest(data) != path.rsplit("/", 1)[1].removesuffix(".json"):
                self.tampered("name", path, "is not named by its digest")
            e = self.envelope(path, data)
            if e and e.kind == "charter":
                self.tampered("place", path, "a charter does not stand there")
            elif e and e.kind != "verdict" and not self.full:
                self.tampered("variant", path, "not without content")
            elif e:
                self.statements[e.env] = (path, e)
                self.by_digest.setdefault(e.digest, []).append(e)
        for path, data in self.under("attachments").items():
            if hexdigest(data) != path.rsplit("/", 1)[1]:
                self.tampered("name", path, "is not named by its digest")
        self.attachments = {p.rsplit("/", 1)[1]: b for p, b in self.under("attachments").items()}

    def read_charters(self):
        """Builds the chain of verified versions from the pinned genesis; False without a genesis."""
        todo, self.held = [], set()
        for path, e in self.charter_files:
            self.statements[e.env] = (path, e)
            if e.sound:
                todo.append((path, Charter(e)))
        progress = True
        while progress:
            progress = False
            for path, c in list(todo):
                before = self.charters.get(c.previous)
                if path in self.held or before is None and c.digest != self.pinned:
                    continue
                keys = statements.by_id([*(before.holders if before else ()), *c.holders])
                try:
                    check_charter(c, c.envelope.signers(keys), before, self.chain(before))
                except Bad:
                    continue
                self.charters[c.digest] = c
                self.held.add(path)
                progress = True
        if self.pinned not in self.charters:
            self.tampered("charter-pinned", "data/bundle.json", "the pinned charter is not there, or does not hold")
            return False
        if self.index["charter"] != self.pinned or self.index["org"] != self.charters[self.pinned].body["org"]:
            self.tampered("index", "data/bundle.json", "names another charter or organisation")
        return True

    def chain(self, charter):
        out = []
        while charter is not None:
            out.append(charter)
            charter = self.charters.get(charter.previous)
        return out

    def log_keys(self, origin):
        """(seat, log key) pairs that verified charters give an origin."""
        return {(s["index"], s["log_key"]) for c in self.charters.values() for s in c.body["seats"] if s["log_origin"] == origin}

    def witnesses(self):
        """(name, key, seat) of every witness that a verified charter lists."""
        return {(f"{c.body['org']}/{s['index']}/witness", s["witness_key"], s["index"])
                for c in self.charters.values() for s in c.body["seats"]}

    def signed_head(self, data, origin):
        """A checkpoint that the origin's log key signed, whoever else did."""
        head = logs.Checkpoint(data)
        if head.origin != origin:
            raise Bad(f"a checkpoint of {head.origin!r}")
        if not any([logs.log_signed(head.note, origin, k.raw) for _, k in self.log_keys(origin)]):
            raise Bad("not signed by the log's key")
        return head

    def own_head(self, data, origin):
        """The note beside a log: every line is by a key that a charter lists, and verifies."""
        head = self.signed_head(data, origin)
        known = {(origin, logs.note_key_id(origin, 1, k.raw)) for _, k in self.log_keys(origin)}
        for name, key, _ in self.witnesses():
            known.add((name, logs.note_key_id(name, 4, key.raw)))
            logs.cosigned(head.note, name, key.raw)
        if any((name, key_id) not in known for name, key_id, _ in head.note.lines):
            raise Bad("a line of a key that no charter lists")
        return head

    def origins(self, index):
        """Origins of a seat's logs, first to last."""
        out = []
        for c in sorted(self.charters.values(), key=lambda c: (c.version, c.digest)):
            if index in c.seats and c.seats[index]["log_origin"] not in out:
                out.append(c.seats[index]["log_origin"])
        return out

    def read_log(self, named):
        folder = f"data/logs/{named['seat']}/{named['number']}/"
        log = Log(folder + "entries.jsonl", named["seat"], named["number"], named["origin"])
        data, note = self.files.get(log.path), self.files.get(folder + "checkpoint.txt")
        for path, there in ((log.path, data), (folder + "checkpoint.txt", note)):
            if there is None:
                self.tampered("missing", path, "the index names this log", seat=log.seat)
        if data is None or note is None:
            return
        if self.origins(log.seat)[log.number - 1:log.number] != [log.origin]:
            self.tampered("checkpoint", folder + "checkpoint.txt", "not the origin of this seat's log", seat=log.seat)
            return
        log.rows = data.split(b"\n")
        if not data or log.rows.pop() != b"":
            self.tampered("entries", log.path, "the last line does not end", seat=log.seat)
        try:
            head = self.own_head(note, log.origin)
        except Bad as e:
            self.tampered("checkpoint", folder + "checkpoint.txt", e, seat=log.seat)
            return
        log.head = head
        if any(len(r) > logs.ENTRY for r in log.rows):
            self.report.add("MALFORMED", "line", log.path, "a line longer than an entry can be", None, log.seat)
            return
        if not head.size == named["size"] == len(log.rows):
            self.tampered("size", log.path, f"{len(log.rows)} lines, index {named['size']}, note {head.size}", seat=log.seat)
            return
        log.tree = logs.Tree([statements.sha256(b"\0" + r) for r in log.rows])
        if log.tree.root(log.tree.size) != head.root:
            self.tampered("root", log.path, "the lines do not lead to the signed root", seat=log.seat)
            return
        self.logs.append(log)
        before, time = bytes(32), 0
        for position, row in enumerate(log.rows):
            try:
                entry = logs.Entry(row)
                if (entry.seq, entry.log, entry.prev) != (position, log.origin, before.hex()) or entry.ts < time:
                    raise Bad("does not follow the entry before")
            except Bad as e:
                self.report.add("VIOLATION", "chain", log.path, e, position, log.seat)
                break
            log.entries.append(entry)
            before, time = entry.leaf, entry.ts

    def seat_keys(self, index):
        return [c.seats[index]["statement_key"] for c in self.charters.values() if index in c.seats]

    def by_seat(self, e):
        """True if the seat that a sound statement names signed it, alone."""
        try:
            return len(e.signers(statements.by_id(self.seat_keys(e.body["seat"])))) == 1
        except Bad:
            return False

    def signed_under(self, e, charter):
        """True if the seat that a sound statement names signed it, alone, with its key in that version."""
        seat = self.charters[charter].seats.get(e.body["seat"]) if charter in self.charters else None
        try:
            return seat is not None and len(e.signers(statements.by_id([seat["statement_key"]]))) == 1
        except Bad:
            return False

    def read_views(self):
        for path, data in sorted(self.under("views").items()):
            viewer, viewed = map(int, path.rsplit("/", 1)[1].removesuffix(".json").split("-"))
            e = self.envelope(path, data)
            if e is None:
                continue
            if e.kind != "view" or not e.sound or e.body["seat"] != viewer or not self.by_seat(e):
                self.tampered("view", path, "not a view signed by its seat")
            elif viewed not in {s for s, _ in self.log_keys(e.body["log"])}:
                self.tampered("view", path, "of another log")
            else:
                self.views.append((path, viewer, viewed, e))
        if self.views and all(e.body["export"] != self.index["export"] for *_, e in self.views):
            self.tampered("export", "data/bundle.json", "no view is of this export")

    def bind(self):
        """Every statement, charter and attachment is named by a log."""
        envs, payloads, blobs = set(), set(), set()
        for log in self.logs:
            for entry in log.entries:
                if entry.env:
                    envs.add(entry.env)
                more, notes = logs.names_besides(entry)
                payloads |= more
                blobs |= notes
        behind = b"".join(b"".join(log.rows[len(log.entries):]) for log in self.logs)
        named_behind = lambda name: bool(behind) and name.encode() in behind
        for env, (path, e) in self.statements.items():
            if env in envs or path in self.held or named_behind(env) or named_behind(e.digest):
                pass
            elif e.digest not in payloads:
                self.tampered("unreferenced", path, "no log names it")
            elif e.kind not in ("verdict", "restriction-answer") or not e.sound or not self.by_seat(e):
                self.tampered("signature", path, "not signed by its seat")
        if self.full:
            blobs |= {e.body["context"] for _, e in self.statements.values() if e.kind == "verdict" and e.sound}
        for name in self.attachments.keys() - blobs:
            if named_behind(name):
                continue
            self.tampered("unreferenced", f"data/attachments/{name}", "nothing names it")

    def follow(self):
        """README, bag-info.txt, `created` and `requests` follow from the rest."""
        index, raw = self.index, self.raw_index
        rows = "".join(f"  seat {x['seat']}: {x['size']} entries, {x['origin']}\n" for x in index["logs"])
        readme = README.format(
            without="" if self.full else " WITHOUT CONTENT", read=READ[index["variant"]],
            org=index["org"], charter=index["charter"], created=raw["created"], logs=rows,
            requests="".join(f"  {r}\n" for r in index["requests"]))
        if "data/README.txt" not in self.files:
            self.tampered("missing", "data/README.txt")
        elif self.files["data/README.txt"] != readme.encode():
            self.tampered("readme", "data/README.txt", "does not follow from data/bundle.json")
        times = [e.ts for log in self.logs for e in log.entries] + [e.body["at"] for *_, e in self.views]
        if index["created"] != min(max(times, default=0), logs.LATEST):
            self.tampered("created", "data/bundle.json", "not the newest time in the evidence")
        matters = set()
        for name in index["requests"]:
            found = self.by_digest.get(name, ())
            if not any(e.kind in ("request", "self-recovery") and e.sound for e in found):
                self.tampered("request", "data/bundle.json", f"the request {name} is not there")
            matters |= {e.body["matter"] for e in found if e.kind == "request" and e.sound}
        payload = {p: b for p, b in self.files.items() if p.startswith("data/")}
        ids = "".join(f"External-Identifier: {m}\n" for m in sorted(matters) or [index["org"]])
        info = (f"Bag-Software-Agent: escrow.bundle.v1\nBagging-Date: {show_time(index['created'])[:10]}\n{ids}"
                f"Bag-Group-Identifier: {index['charter']}\nPayload-Oxum: {sum(map(len, payload.values()))}.{len(payload)}\n")
        if self.files.get("bag-info.txt") != info.encode():
            self.tampered("bag-info", "bag-info.txt", "does not follow from the rest")

        self.reports()

    def reports(self):
        """Section 20.1: of the reports, the counts are made again here and compared; the others are not checked."""
        if self.index["report"] != "escrow.custody.v1":
            self.report.add("INCOMPLETE", "report-version", "data/bundle.json", "reports of another version: not checked")
            return
        there = {p.removeprefix("data/report/") for p in self.under("report")}
        for name in there ^ REPORTS[self.index["variant"]]:
            self.tampered("report", f"data/report/{name}", "missing, or not of this variant")
        counts = {}
        for named in self.index["logs"]:
            data = self.files.get(f"data/logs/{named['seat']}/{named['number']}/entries.jsonl", b"")
            for row in data.split(b"\n")[:-1]:
                try:
                    kind = logs.Entry(row).type
                except Bad:
                    kind = "unreadable"
                key = (named["seat"], named["number"], kind)
                counts[key] = counts.get(key, 0) + 1
        table = "seat,log,type,entries\n" + "".join(f"{s},{n},{k},{c}\n" for (s, n, k), c in sorted(counts.items()))
        if self.files.get("data/report/counts.csv", table.encode()) != table.encode():
            self.tampered("report", "data/report/counts.csv", "does not follow from the logs")

"""Histories by chance: what nodes, officers and subjects might sign, in any order and mostly wrong. Nobody knows what must
be found in them; both verifiers must charge the same entries."""
import copy
import random

from escrow_verify import keys, logs

from forge import b64, EXPORT, hexed, Key, sha, signed, START, Statement, time, World

from .told import authorise, base64_of, DAY, DECISIONS, deliver, GONE, permit

SUBJECTS = ["v1:" + hexed(b"subject %d" % n) for n in range(3)]
OFFICES = [["legal"], ["dpo"], ["legal", "dpo"], ["requestor"], ["registrar", "admin"], ["officer"], ["subject-rights"]]


def histories(template, count, first=0):
    """(name, pinned digest, files): logs of nodes without content, then one log full of people's statements."""
    for seed in range(first, first + count):
        for teller in (Nodes, People):
            history = teller(template, seed)
            yield f"{teller.__name__.lower()}-{seed}", history.w.genesis.digest, history.tell()


class History:
    def __init__(self, template, seed):
        self.chance = random.Random(seed)
        self.w = World(self.widened(template))
        self.logs = self.w.logs()
        self.versions, self.statements = [self.w.genesis], []

    def widened(self, template):
        return template

    def maybe(self, odds):
        return self.chance.random() < odds

    def one(self, *of):
        return self.chance.choice(of)


class Nodes(History):
    """What three nodes write and show."""

    def tell(self):
        self.notes, self.open = [], {log.seat: [0] for log in self.logs}
        for _ in range(self.one(0, 0, 1, 2, 3)):
            self.versions.append(self.w.successor(self.one(*self.versions), self.altered))
        acts = [self.cosigned, self.ready, self.permitted, self.permitted, self.authorised, self.authorised, self.authorised,
                self.delivered, self.delivered, self.aborted, self.charter, self.charter, self.clock, self.accused, self.refused,
                self.lost]
        for _ in range(self.chance.randrange(2, 14)):
            log = self.one(*self.logs)
            self.one(*acts)(log, log.ts + self.one(0, 1, 500, 1000, 1000, 1000, 30_000, 61_000))
        return self.shown()

    def altered(self, body):
        change = self.one(*range(8))
        seat = self.w.seat(self.one(1, 2, 3), body)
        if change == 0:
            new = {"number": self.one(1, 2, 3, 5), "t": 2, "members": self.one([1, 2], [1, 3], [1, 2, 3])}
            body["generations"] = [*body["generations"], new] if self.maybe(0.6) else [new]
        elif change == 1:
            seat.update(statement_key=Key(f"fresh {self.one(0, 1)}").text)
        elif change == 2:
            seat.update(witness_key=Key(f"witness again {self.one(0, 1)}").text)
        elif change == 3:
            body["voided"] = [self.one(*self.versions).digest]
        elif change == 4:
            seat.update(log_origin=seat["log_origin"][:10] + self.one("", "/2", "/3"), log_key=Key(self.one("a", "b")).text,
                        previous_log_head=self.one(None, GONE[0]))
        elif change == 5:
            body["limits"]["clock_skew_s"] = self.one(1, 3600)

    def cosigned(self, log, at):
        other = self.one(*self.logs)
        size = self.one(len(other.rows), len(other.rows), 1, 2, 50)
        tree = logs.Tree([sha(b"\0" + row) for row in other.rows])
        root = tree.root(size) if size <= tree.size and self.maybe(0.9) else sha(b"another")
        log.add("witness.cosigned", {"event": "cosigned", "origin": other.origin, "size": size, "root": root.hex()}, at=at)

    def ready(self, log, at):
        log.add("node.ready", {"event": "ready", "peers": self.one([1, 2], [2, 3], [1, 3], [1], [], [1, 2, 3], [4, 5])}, at=at)

    def permitted(self, log, at):
        verdict = permit(self.w, self.one(1, 2, 3), at, self.one(*self.versions))
        self.statements.append(verdict)
        own = self.logs[verdict.body["seat"] - 1]
        where = own if self.maybe(0.8) else log
        where.add("verdict", {"event": "statement"}, verdict.names, max(where.ts, at))

    def authorised(self, log, at):
        named = {s.digest for s in self.chance.sample(self.statements, min(len(self.statements), self.one(0, 1, 1, 2)))}
        log.ts = at - 1000
        self.open[log.seat].append(authorise(
            log, named | ({GONE[0]} if self.maybe(0.1) else set()), self.call(), decisions=self.one(DECISIONS, DECISIONS, []),
            answers=self.one([GONE[1]], [GONE[1]], [])))

    def call(self):
        return hexed(self.w.nonce().encode()), hexed(self.w.nonce().encode())

    def opened(self, log):
        return self.one(*self.open[log.seat]) if self.maybe(0.9) else self.one(*range(5))

    def delivered(self, log, at):
        peers = self.chance.sample([1, 2, 3], self.one(0, 1, 2, 2, 3))
        log.witnesses = [self.w.witness(p, log.ts // 1000 + self.one(0, 0, 0, 100, -200)) for p in peers]
        text = log.text() if self.maybe(0.85) else f"{log.origin}\n{self.one(0, 1, len(log.rows))}\n{b64(sha(self.one(b'', b'x')))}\n"
        note, log.witnesses = signed(text, log.origin, log.key, log.witnesses), ()
        self.notes.append((log.origin, note))
        if self.maybe(0.6):
            for peer in (p for p in self.logs if p is not log):
                said = {"event": "cosigned", "origin": log.origin, "size": len(log.rows), "root": log.head()[1].hex()}
                peer.add("witness.cosigned", said, at=max(peer.ts, log.ts))
        log.ts = at - 1000
        deliver(self.w, log, self.opened(log), note, self.one(1, 1, 1, 2, 3))

    def aborted(self, log, at):
        body = {"event": "aborted", "authorized": self.opened(log), "reason": "restart", "request": hexed(b"request")}
        log.add("release.aborted", body, at=at)

    def charter(self, log, at):
        version = self.one(*self.versions)
        if self.maybe(0.8):
            log.add("charter", {"event": "statement"}, version.names, at)
        if self.maybe(0.8):
            log.add("charter.accepted", {"event": "charter-accepted", "charter": version.digest}, at=at)

    def clock(self, log, at):
        log.add("clock.anomaly", {"event": "clock", "by_ms": self.one(0, 5, -5)}, at=at)

    def accused(self, log, at):
        if self.notes:
            (origin, first), (_, second) = self.one(*self.notes), self.one(*self.notes)
            log.add("misbehaviour", {"event": "misbehaviour", "first": hexed(first), "origin": origin, "second": hexed(second)}, at=at)

    def refused(self, log, at):
        kind, rule = self.one("deposit", "genesis", "view"), self.one("malformed", "overloaded", "denied")
        log.add("refused", {"event": "refused", "kind": kind, "rule": rule, "statement": GONE[0]}, at=at)

    def lost(self, log, at):
        kind = self.one("request", "deposit", "verdict", "charter", "genesis")
        log.add(kind, {"event": "statement"}, self.one(GONE, self.w.genesis.names), at)

    def shown(self):
        views, end = [], max(log.ts for log in self.logs) + self.one(0, 1000, 1_300_000)
        for viewer in (1, 2, 3) if self.maybe(0.5) else ():
            for log in (x for x in self.logs if x.seat != viewer and self.maybe(0.7)):
                peers = [p for p in (1, 2, 3) if p != log.seat and self.maybe(0.8)]
                log.witnesses = [self.w.witness(p, end // 1000 - self.one(0, 5, 1190, 1201, 3000, -100)) for p in peers]
                note = log.note().decode() if self.maybe(0.9) else None
                view = self.w.statement("view", [Key(f"seat {viewer}")], self.one(*self.versions), seat=viewer, log=log.origin,
                                        note=note, export=EXPORT, at=time(end))
                views.append((viewer, log.seat, view, end))
                log.witnesses = ()
        rows = b"".join(row for log in self.logs for row in log.rows)
        named = lambda digest: digest.encode() in rows
        return self.w.bundle(
            self.logs if self.maybe(0.9) else self.logs[:2], charters=[c for c in self.versions[1:] if named(c.digest) or self.maybe(0.3)],
            statements=[s for s in self.statements if named(s.names[1])], views=views,
            notes=list({n for _, n in self.notes if named(hexed(n)) and self.maybe(0.95)}))


class People(History):
    """What people and devices sign, in one log; the node takes everything."""

    def widened(self, template):
        """With signers of a basis, and an officer of many offices."""
        charter = copy.deepcopy(template)
        charter["basis_signers"] = [{"basis": "contract", "roles": ["legal", "dpo"]}]
        next(p for p in charter["people"] if p["id"] == "off")["roles"] += ["subject-rights", "filter-team"]
        return charter

    def tell(self):
        self.log, self.accepted, self.said = self.logs[0], [self.w.genesis], {}
        self.people = [p["id"] for p in self.w.charter["people"]]
        for number in (0, 1):
            self.say(self.enrolment(number, number))
        kinds = ["enrolment"] * 2 + ["revocation"] + ["consent", "withdrawal", "matter", "request"] * 2 + ["cancellation"] + \
            ["decision"] * 3 + ["self_recovery", "veto", "query", "charter", "verdict", "again"]
        for _ in range(self.chance.randrange(4, 26)):
            statement = getattr(self, self.one(*kinds))()
            if statement is not None:
                self.log.ts += self.one(0, 0, 1000, 500_000)
                self.say(statement)
        every = {s.names[1]: s for of in self.said.values() for s in of}.values()
        return self.w.bundle(self.logs[:1], charters=[s for s in every if s.kind == "charter"],
                             statements=[s for s in every if s.kind != "charter"], full=True)

    def say(self, statement):
        self.log.say(statement)
        self.said.setdefault(statement.kind, []).append(statement)
        if statement.kind == "charter" and self.maybe(0.8):
            self.log.add("charter.accepted", {"event": "charter-accepted", "charter": statement.digest})
            self.accepted.append(statement)

    def sign(self, kind, names, /, **body):
        """Mostly by whoever should, mostly under the version in force."""
        signers = [Key(name) for name in names]
        odd = self.chance.random()
        if odd > 0.9:
            signers = self.one([*signers, Key(self.one(*self.people))], [*signers, Key("seat 2")], signers[:-1] or [Key("stranger")])
        return self.w.statement(kind, signers, self.one(*self.accepted[-1:] * 6, *self.versions), **body)

    def now(self):
        return time(self.log.ts + self.one(0, 0, 1000, -5000, 59_000, 61_000, -100_000))

    def device(self):
        return f"device {self.one(0, 0, 0, 1, 1, 2)}"

    def any(self, *kinds):
        """A statement of these kinds, or none."""
        return self.one(None, *(s for kind in kinds for s in self.said.get(kind, ())))

    def case(self):
        asked = self.any("request", "self-recovery")
        return asked.digest if asked else hexed(b"request")

    def sealing(self, number):
        raw = bytearray(base64_of(self.w.seat(1)["sealing"]["public"]))
        raw[-1] ^= 0x10 + number
        return self.w.seat(1)["sealing"] | {"public": b64(bytes(raw))}

    def enrolment(self, number=None, subject=None):
        number = self.one(0, 1, 2) if number is None else number
        device = {
            "subject": self.one(*SUBJECTS) if subject is None else SUBJECTS[subject], "key": Key(f"device {number}").text,
            "sealing": self.sealing(number if self.maybe(0.9) else 0)}
        return self.sign("enrolment", ["ann", "bob"], devices=[device],
                         **{"from": time(START - 3 * DAY), "until": time(self.log.ts + self.one(DAY, DAY, 5000))})

    def revocation(self):
        enrolment = self.any("enrolment")
        key = {"key": Key(self.one("device 0", "device 1", "req", "leg", "ann")).text}
        revokes = {"enrolment": enrolment.digest} if enrolment and self.maybe(0.4) else key
        return self.sign("revocation", self.one(["ann", "bob"], ["ann"]), revokes=revokes, reason="x", at=self.now())

    def consent(self):
        basis, policy = self.one("consent", "consent", "contract", "order"), self.w.charter["policies"][0]
        digest = keys.hexdigest(keys.labelled("escrow/v1/policy", policy["schema"], policy["text"]))
        record = {
            "schema_version": "1", "record_id": "r", "jurisdiction": "DE", "pii_types": ["message-content"],
            "controllers": self.w.charter["controllers"], "storage_locations": ["DE"], "recipients": ["by-request"],
            "withdrawal_method": "x", "event_time": self.now(), "event_type": "explicit", "event_state": "given",
            "entity_id": "subject"}
        return self.sign(
            "consent", [self.device()] if basis == "consent" else self.one(["leg", "dpo"], ["leg"], ["leg", "off"]),
            subject=self.one(*SUBJECTS), coverage="workspace", epochs=None, purposes=["inquiry"], basis=basis,
            authority=None if basis == "consent" else {"reference": "r", "document": GONE[0]},
            policies=[{"id": policy["id"], "digest": digest}], floor={"t": 2, "n": 3}, retention_days=1,
            notice={"digest": GONE[0], "language": "de", "terms": "x"}, expires=time(self.log.ts + self.one(DAY, DAY, 0, 1500)),
            record=record, **{"from": time(START - DAY), "to": time(START + DAY)})

    def withdrawal(self):
        consent = self.any("consent")
        subject = consent.body["subject"] if consent and self.maybe(0.9) else self.one(*SUBJECTS)
        by = self.one([self.device()], [self.device()], ["off"], ["leg", "dpo"], ["leg"])
        return self.sign("withdrawal", by, consent=consent.digest if consent else GONE[0], subject=subject, at=self.now())

    def matter(self):
        before, by = self.any("matter"), self.one("req", "req", "req", "leg")
        action = self.one("open", "close", "reopen") if before else "open"
        return self.sign("matter", [by], matter=self.one("M-1", "M-1", "M-2"), action=action, by=by, title=GONE[0], at=self.now(),
                         previous=None if action == "open" else before.digest)

    def request(self):
        by, person = self.one("req", "req", "req", "off"), {"id": "off", "sealing": GONE[1]}
        notice = {"delayed": {"order": "o", "until": time(self.log.ts + self.one(DAY, 31 * DAY))}}
        return self.sign(
            "request", [by], matter="M-1", by=by, basis="order", authority={"reference": "x", "document": GONE[0]},
            purpose="inquiry", scope={"threads": ["v1:" + GONE[0]], "from": time(START - 9999), "to": time(START)}, selection=None,
            items=[GONE[0]], counts={"items": 1, "threads": 1}, recipient=self.one({"person": person}, {"filter_team": person}),
            policy=self.w.charter["policies"][0]["id"], notice=self.one("immediate", notice), created=self.now(),
            expires=time(self.log.ts + self.one(DAY - 70_000, 3000, 2 * DAY)))

    def self_recovery(self):
        enrolment, device = self.any("enrolment"), self.device()
        return self.sign(
            "self-recovery", [device], subject=self.one(*SUBJECTS), enrolment=enrolment.digest if enrolment else GONE[0],
            key=Key(device if self.maybe(0.9) else "device 0").text, sealing=GONE[1], items=[GONE[0]],
            policy=self.w.charter["policies"][0]["id"], created=self.now(), expires=time(self.log.ts + DAY - 100_000))

    def cancellation(self):
        by = self.one("req", "req", "off")
        return self.sign("cancellation", [by if self.maybe(0.9) else "leg"], request=self.case(), by=by, at=self.now())

    def veto(self):
        device = self.device()
        by = self.one({"device": Key(device).text}, {"person": "off"})
        return self.sign("veto", [device] if "device" in by else ["off"], recovery=self.case(), by=by, reason="x", at=self.now())

    def decision(self):
        by = self.one("leg", "dpo", "off", "ann")
        role = self.one(*{"leg": ["legal"], "dpo": ["dpo"], "off": ["officer", "legal"], "ann": ["legal"]}[by])
        return self.sign("decision", [by], request=self.case(), by=by, role=role,
                         choice=self.one("approve", "approve", "recuse", "deny"), reason="x", at=self.now())

    def query(self):
        device = self.device()
        by = self.one({"device": Key(device).text}, {"person": "leg"})
        what = self.one("activity", "consents", "own", "recoveries", "matters", "requests", {"evaluate": self.case()})
        return self.sign("query", [device] if "device" in by else ["leg"], by=by, seat=self.one(1, 1, 1, 2), what=what, at=self.now())

    def charter(self):
        version = self.w.successor(self.one(*self.accepted[-1:] * 3, *self.versions), self.altered,
                                   self.one((), (), (), [Key("leg")]))
        self.versions.append(version)
        return version

    def altered(self, body):
        """Policies are Cedar's part, which no second verifier reads: what they need stays."""
        person, change = self.one(*body["people"]), self.one(*range(6))
        if change == 0:
            person["roles"] = self.one(*OFFICES)
        elif change == 1:
            person["keys"][0]["key"] = Key(f"{person['id']} {self.one(0, 1)}").text
        elif change == 2:
            person["keys"][0]["until"] = time(self.log.ts + self.one(-1000, 5000))
        elif change == 3:
            body["approver_roles"] = ["legal", "dpo", "officer"]
        elif change == 4:
            body["basis_signers"] = self.one([], [{"basis": "contract", "roles": ["legal"]}])
        else:
            body["limits"]["request_life_s"] = self.one(3600, 86_400)

    def verdict(self):
        at = self.log.ts + 1000
        reason = self.one("request-unknown", "item-unknown", "matter-unknown", "matter-closed", "denied", "charter-unaccepted")
        body = {
            "seat": 1, "request": self.case(), "outcome": "refuse", "lacking": [], "reasons": [reason], "policies": [],
            "decisions": [], "context": None, "decided": time(at), "valid_until": time(at)}
        self.say(self.w.statement("verdict", [Key("seat 1")], self.accepted[-1], **body))

    def again(self):
        return self.any(*self.said)

"""What people and devices sign, in one log whose node takes everything."""
import copy

import json

from escrow_verify import keys

from forge import b64, hexed, Key, sha, START, time

from ..told import authorise, base64_of, DAY, deliver, GONE
from .history import History

SUBJECTS = ["v1:" + hexed(b"subject %d" % n) for n in range(3)]
THREADS = ["v1:" + hexed(b"thread %d" % n) for n in range(2)]
# A point of P-256, for commitments that nobody opens: its generator.
POINT = bytes.fromhex("046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
                      "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
OFFICES = [["legal"], ["dpo"], ["legal", "dpo"], ["requestor"], ["registrar", "admin"], ["officer"], ["subject-rights"]]


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
        self.items, self.notes, self.open = {}, [], (0, hexed(b"request"))
        for number in (0, 1):
            self.say(self.enrolment(number, number))
        begin = [self.consent, self.deposit, self.matter, self.request, self.decision, self.decision, self.verdict]
        rest = begin * 2 + [self.enrolment, self.revocation, self.withdrawal, self.cancellation, self.decision, self.self_recovery,
                            self.veto, self.query, self.charter, self.verdict, self.again, self.authorised, self.delivered]
        for step in range(self.chance.randrange(4, 30)):
            # Most histories begin as a case does, and then lose their way.
            statement = begin[step]() if step < len(begin) and self.maybe(0.8) else self.one(*rest)()
            if statement is not None:
                self.log.ts += self.one(0, 0, 1000, 500_000)
                self.say(statement)
        every = {s.names[1]: s for of in self.said.values() for s in of}.values()
        return self.w.bundle(self.logs[:1], charters=[s for s in every if s.kind == "charter"],
                             statements=[s for s in every if s.kind != "charter"], notes=self.notes, full=True)

    def say(self, statement):
        self.log.say(statement)
        self.keep(statement)
        if statement.kind == "charter" and self.maybe(0.8):
            self.log.add("charter.accepted", {"event": "charter-accepted", "charter": statement.digest})
            self.accepted.append(statement)

    def keep(self, statement):
        self.said.setdefault(statement.kind, []).append(statement)

    def sign(self, kind, names, /, **body):
        """Mostly by whoever should, mostly under the version in force."""
        signers = [Key(name) for name in names]
        if self.maybe(0.05):
            signers = self.one([*signers, Key(self.one(*self.people))], [*signers, Key("seat 2")], signers[:-1] or [Key("stranger")])
        return self.w.statement(kind, signers, self.one(*self.accepted[-1:] * 6, *self.versions), **body)

    def now(self):
        return time(self.log.ts + self.one(0, 0, 0, 0, 1000, 59_000, 62_000, -100_000))

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

    def policies(self):
        policy = self.w.charter["policies"][0]
        digest = keys.hexdigest(keys.labelled("escrow/v1/policy", policy["schema"], policy["text"]))
        return [{"id": policy["id"], "digest": digest}]

    def consent(self):
        basis = self.one("consent", "consent", "consent", "consent", "contract", "order")
        record = {
            "schema_version": "1", "record_id": "r", "jurisdiction": "DE", "pii_types": ["message-content"],
            "controllers": self.w.charter["controllers"], "storage_locations": ["DE"], "recipients": ["by-request"],
            "withdrawal_method": "x", "event_time": self.now(), "event_type": "explicit", "event_state": "given",
            "entity_id": "subject"}
        subject = self.one(SUBJECTS[0], SUBJECTS[0], *SUBJECTS)
        own = f"device {SUBJECTS.index(subject)}" if self.maybe(0.9) else self.device()
        return self.sign(
            "consent", [own] if basis == "consent" else self.one(["leg", "dpo"], ["leg"], ["leg", "off"]),
            subject=subject, coverage=self.one("workspace", "workspace", {"threads": THREADS[:1]}), epochs=None, purposes=["inquiry"], basis=basis,
            authority=None if basis == "consent" else {"reference": "r", "document": GONE[0]},
            policies=self.policies(), floor={"t": 2, "n": self.one(3, 3, 3, 5)}, retention_days=1,
            notice={"digest": GONE[0], "language": "de", "terms": "x"}, expires=time(self.log.ts + self.one(DAY, DAY, DAY, 1500)),
            record=record, **{"from": time(START - DAY), "to": time(START + DAY)})

    def withdrawal(self):
        consent = self.any("consent")
        subject = consent.body["subject"] if consent and self.maybe(0.9) else self.one(*SUBJECTS)
        by = self.one([self.device()], [self.device()], ["off"], ["leg", "dpo"], ["leg"])
        return self.sign("withdrawal", by, consent=consent.digest if consent else GONE[0], subject=subject, at=self.now())

    def deposit(self):
        consent = self.any("consent")
        subject = consent.body["subject"] if consent else SUBJECTS[0]
        items = []
        for _ in range(self.one(1, 1, 2)):
            others = {(self.one(*SUBJECTS), True), ("v1:" + hexed(b"outside"), False)}
            taking_part = sorted(self.chance.sample(sorted(others), self.one(0, 1, 2)) + [(subject, True)])
            about = {
                "source": "mls10", "thread": self.one(*THREADS), "era": 0, "epoch": self.one(0, 5), "authenticator": "",
                "from": time(START - self.one(9999, 2 * DAY)), "to": time(START - 10), "archive": None,
                "participants": [{"token": t, "inside": i} for t, i in dict(taking_part).items()]}
            items.append({"about": about, "commitments": b64(POINT * 2), "key_check": GONE[0], "wrapped": b64(bytes(60))})
        deal = {
            "org": self.w.org, "nonce": self.w.nonce(), "generation": 1, "t": 2, "n": 3,
            "consent": consent.digest if consent else GONE[0], "policies": self.policies(), "depositor": subject, "items": items}
        data = json.dumps(deal, separators=(",", ":")).encode()
        for position, item in enumerate(items):
            name = keys.hexdigest(keys.labelled("escrow/v1/item-id", sha(data), position))
            self.items[name] = item["about"]["thread"]
        device = f"device {SUBJECTS.index(subject)}" if self.maybe(0.9) else self.device()
        return self.sign("deposit", [device], depositor=subject, deal=b64(data), at=self.now(),
                         blobs=[{"seat": seat, "sha256": hexed(b"%d" % seat)} for seat in (1, 2, 3)])

    def matter(self):
        before, by = self.any("matter"), self.one("req", "req", "req", "leg")
        action = self.one("open", "close", "reopen") if before else "open"
        return self.sign("matter", [by], matter=self.one("M-1", "M-1", "M-2"), action=action, by=by, title=GONE[0], at=self.now(),
                         previous=None if action == "open" else before.digest)

    def request(self):
        by, officer = self.one("req", "req", "req", "off"), next(p for p in self.w.charter["people"] if p["id"] == "off")
        sealing = keys.sealing(officer["sealing"]).digest if self.maybe(0.9) else GONE[1]
        person = {"id": "off", "sealing": sealing}
        items, threads = self.asked()
        notice = {"delayed": {"order": "o", "until": time(self.log.ts + self.one(DAY, 31 * DAY))}}
        return self.sign(
            "request", [by], matter="M-1", by=by, basis="order", authority={"reference": "x", "document": GONE[0]},
            purpose=self.one("inquiry", "inquiry", "inquiry", "other"), selection=None, items=items,
            scope={"threads": threads, "from": time(START - 9999), "to": time(START)},
            counts={"items": len(items), "threads": len(threads)}, recipient=self.one({"person": person}, {"filter_team": person}),
            policy=self.w.charter["policies"][0]["id"], notice=self.one("immediate", notice), created=self.now(),
            expires=time(self.log.ts + self.one(DAY - 70_000, 3000, 2 * DAY)))

    def asked(self):
        """Items, known ones if there are, and their threads, mostly."""
        known = list(self.items)
        items = self.chance.sample(known, min(len(known), self.one(1, 2))) if self.maybe(0.9) else []
        threads = {self.items[i] for i in items} if self.maybe(0.9) else set(THREADS)
        return sorted(items or [GONE[0]]), sorted(threads or THREADS[:1])

    def self_recovery(self):
        enrolment, device = self.any("enrolment"), self.device()
        return self.sign(
            "self-recovery", [device], subject=self.one(*SUBJECTS), enrolment=enrolment.digest if enrolment else GONE[0],
            key=Key(device if self.maybe(0.9) else "device 0").text, sealing=GONE[1], items=self.asked()[0],
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
        person, change = self.one(*body["people"]), self.one(*range(8))
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
        elif change == 5:
            second = {"number": 2, "t": 2, "members": [1, 2, 3]}
            body["generations"] = self.one([second], [body["generations"][0], second])
        elif change == 6:
            self.w.seat(2, body)["statement_key"] = Key("fresh seat").text
        else:
            body["limits"]["request_life_s"] = self.one(3600, 86_400)

    def verdict(self):
        at = self.log.ts + 1000
        reason = self.one("request-unknown", "item-unknown", "matter-unknown", "matter-closed", "denied", "charter-unaccepted",
                          "policy-error", "item-scope", "consent-withdrawn", "requestor-in-scope")
        body = {
            "seat": 1, "request": self.case(), "outcome": "refuse", "lacking": [], "reasons": [reason], "policies": [],
            "decisions": [], "context": None, "decided": time(at), "valid_until": time(at)}
        self.say(self.w.statement("verdict", [Key("seat 1")], self.accepted[-1], **body))

    def permit(self, case):
        """Another seat's, mostly good: of this case, now, under the version in force, with its key there."""
        at = self.log.ts + self.one(0, 0, 0, -29_000, -31_000, 62_000)
        key = self.w.seat(2, self.accepted[-1].body)["statement_key"]
        names = {Key(n).text: n for n in ("seat 2", "fresh seat")}
        permit = self.w.statement(
            "verdict", [Key(names[key] if self.maybe(0.8) else "seat 2")], self.one(*self.accepted[-1:] * 5, *self.accepted),
            seat=2, request=case if self.maybe(0.9) else GONE[0], outcome="permit", lacking=[], reasons=[], policies=[],
            decisions=[], context=None, decided=time(at), valid_until=time(at + 30_000))
        self.keep(permit)
        return permit.digest

    def authorised(self):
        """An authorisation whose answer nobody has: what is there is judged all the same."""
        case, by = self.case(), self.one("req", "req", "off", "leg")
        self.log.ts += 1000
        call = self.sign("release-call", [by], request=case, by={"person": by}, at=self.now())
        self.keep(call)
        counted = {d.digest for d in self.said.get("decision", ()) if d.body["request"] == case and d.body["choice"] == "approve"}
        permits = {self.permit(case)} if self.maybe(0.7) else {GONE[0]}
        authorised_ = authorise(self.log, permits, call.names, request=case, decisions=sorted(counted), answers=[GONE[1]])
        self.open = (authorised_, case)

    def delivered(self):
        """Under a note that nobody cosigned."""
        authorized, case = self.open
        asked = next((s for s in self.said.get("request", ()) if s.digest == case), None)
        note = self.log.note()
        self.notes.append(note)
        attempt = self.one(1, 1, 2)
        to = asked.body["recipient"] if asked else {}
        release = self.sign(
            "release", ["seat 1"], seat=1, generation=1, request=case, items=asked.body["items"] if asked else [GONE[0]],
            recipient=next(iter(to.values()))["sealing"] if to else GONE[1], reply=hexed(b"reply"), attempt=attempt)
        self.keep(release)
        deliver(self.w, self.log, authorized, note, attempt, release.names, case)

    def again(self):
        return self.any(*self.said)

"""Section 15: what a log says, folded entry by entry; and the helpers that gate and admission share."""
from . import statements

DAY = 86_400_000


class Refused(Exception):
    """A rule of sections 14, 16 or 17 is broken; the text is its code."""

    def __init__(self, rule, detail=""):
        super().__init__(f"{rule}: {detail}" if detail else rule)
        self.rule = rule


def need(holds, rule, detail=""):
    if not holds:
        raise Refused(rule, detail)


class Asked:
    """A request or self-recovery as one log knows it."""

    def __init__(self, envelope, key, at):
        self.kind, self.body, self.digest = envelope.kind, envelope.body, envelope.digest
        self.key, self.logged = key, at
        self.delivered = 0
        self.authorised = False

    @property
    def recovery(self):
        return self.kind == "self-recovery"


class Facts:
    def __init__(self, seat, pinned):
        self.seat, self.pinned = seat, pinned
        self.heads = {}             # origin -> (size, root) cosigned last
        self.seen, self.replies = set(), {}     # without content: statements logged, deliveries of each request
        self.logged = {}            # statement digest -> kind
        self.charters = {}          # known charter versions by digest
        self.accepted = []          # one after the other, the last in force, and since when
        self.skipped = set()        # those that were taken over on the way and never were in force
        self.devices = {}           # key -> list of enrolments that list it
        self.signers_of_enrolment = {}
        self.revoked_raw, self.revoked_enrolments = {}, {}   # -> digest of the first revocation
        self.consents, self.withdrawals = {}, {}
        self.early = {}             # key -> withdrawals logged while their consent was unknown
        self.items, self.deals = {}, {}
        self.matters = {}
        self.asked = {}
        self.decisions, self.cancellations, self.vetoes = {}, {}, {}
        self.open = {}              # authorisations: position -> (time, request, restarted)
        self.refused = set()        # statements that `refused` entries name
        self.calls, self.queries = set(), set()
        self.restrictions = {}      # what is restricted, by whom -> digest of the first that said so

    # Charters

    @property
    def charter(self):
        return self.accepted[-1][0] if self.accepted else None

    def named(self, digest):
        """An accepted or skipped version by its digest, or None."""
        for c, _ in self.accepted:
            if c.digest == digest:
                return c
        return self.charters.get(digest) if digest in self.skipped else None

    def was_in_force(self, digest):
        return digest in self.order() and digest not in self.skipped

    def order(self):
        return [c.digest for c, _ in self.accepted]

    def accept(self, digest, at):
        """Takes over the chain up to a version, from the one in force or from one before it that this voids."""
        need(digest in self.charters, "charter-invalid", "an unknown version")
        order = self.order()
        need(digest not in order, "charter-invalid", "accepted before")
        chain = []
        for base in self.chain(self.charters[digest]):
            if base.digest in order:
                break
            chain.append(base)
        else:
            raise Refused("charter-invalid", "of another genesis")
        branches_at = order.index(base.digest)
        target = self.charters[digest]
        after = order[branches_at + 1:branches_at + 2]
        need(set(after) <= set(target.body["voided"]), "charter-invalid", "branches off and does not void the one in force")
        used = {i["generation"] for i in self.items.values()}
        need(used <= target.generations.keys(), "charter-invalid", "drops a generation with live items")
        self.accepted = self.accepted[:branches_at + 1] + [(c, at) for c in reversed(chain)]
        self.skipped |= {c.digest for c in chain[1:]}
        self.skipped.discard(digest)

    def chain(self, charter):
        out = []
        while charter is not None:
            out.append(charter)
            charter = self.charters.get(charter.previous)
        return out

    def voided(self):
        return {d for c, _ in self.accepted for d in c.body["voided"]}

    def charter_trouble(self):
        """The code for which this node permits nothing, or None."""
        voided, heirs = self.voided(), {}
        for c in self.charters.values():
            if c.previous is not None:
                heirs.setdefault(c.previous, set()).add(c.digest)
        if any(len(h - voided) > 1 for h in heirs.values()):
            return "charter-fork"
        if self.charter is None:
            return "charter-unknown"
        order = set(self.order())
        if any(c.version > self.charter.version and c.digest not in order
               and not voided & {v.digest for v in self.chain(c)} for c in self.charters.values()):
            return "charter-unaccepted"
        return None

    def candidates(self):
        keys = [k for c in self.charters.values() for k in c.keys()]
        return statements.by_id([*keys, *self.devices])

    # Devices and people

    def live(self, key, at):
        """The enrolments that make this device live."""
        return [e for e in self.devices.get(key, ()) if e["from"] <= at < e["until"] and key.raw not in self.revoked_raw
                and e["digest"] not in self.revoked_enrolments]

    def person_key(self, charter, person, key):
        p = charter.people.get(person) if charter else None
        return next((k for k in p["keys"] if k["key"] == key), None) if p else None

    # Consents and items

    def withdrawn(self, consent):
        """A withdrawal of it that counts."""
        body = self.consents[consent]
        for w in self.withdrawals.get(consent, ()):
            if w["subject"] == body["subject"] and (not w["device"] or body["basis"] == "consent"):
                return True
        return False

    def consent_live(self, consent, at):
        need(consent in self.consents, "consent-unknown")
        need(not self.withdrawn(consent), "consent-withdrawn")
        need(at < self.consents[consent]["expires"], "consent-expired")

    # Matters

    def matter_head(self, name):
        """(digest, body) of the matter's newest statement, or None."""
        known = self.matters.get(name, {})
        followed = {b["previous"] for b in known.values()}
        loose = sorted(d for d, b in known.items() if b["action"] == "close" and d not in followed)
        if loose:
            return loose[0], known[loose[0]]
        order = lambda d: (known[d]["action"] != "close", d)
        head = None
        at = min((d for d, b in known.items() if b["action"] == "open"), key=order, default=None)
        while at is not None:
            head = at
            at = min((d for d, b in known.items() if b["previous"] == head), key=order, default=None)
        return (head, known[head]) if head else None

    # Requests

    def request_items(self, asked):
        return [self.items[i] for i in asked.body["items"] if i in self.items]

    def subjects(self, asked):
        """Subjects in scope: depositors and inside participants."""
        out = set()
        for item in self.request_items(asked):
            out.add(item["depositor"])
            out |= {p["token"] for p in item["about"]["participants"] if p["inside"]}
        return out

    def outsiders(self, asked):
        return {p["token"] for i in self.request_items(asked) for p in i["about"]["participants"] if not p["inside"]}

    def in_scope(self, charter, person, asked):
        p = charter.people.get(person)
        if p is None:
            return False
        subjects = self.subjects(asked)
        if p["subject"][0] == "no_subject":
            return False
        own = set(p["subject"][1])
        versions = {v for v, _ in own}
        return bool(own & (subjects | self.outsiders(asked))) or any(v not in versions for v, _ in subjects)

    def recipient_person(self, asked, charter):
        """Who receives: the person named, or whose token the recipient device has."""
        kind, to = asked.body["recipient"]
        if kind != "device":
            return to["id"]
        return self.person_of_device(to["enrolment"], to["key"], charter)

    def enrolled(self, enrolment, key):
        return next((e for e in self.devices.get(key, ()) if e["digest"] == enrolment), None)

    def person_of_device(self, enrolment, key, charter):
        e = self.enrolled(enrolment, key)
        if e is None or charter is None:
            return None
        return next((p["id"] for p in charter.people.values()
                     if p["subject"][0] == "tokens" and e["subject"] in p["subject"][1]), None)

    def strongest(self, request, person):
        order = ("approve", "recuse", "deny")
        mine = [d["body"]["choice"] for d in self.decisions.get(request, ()) if d["body"]["by"] == person]
        return max(mine, key=order.index, default=None)

    def denied(self, request):
        return any(d["body"]["choice"] == "deny" for d in self.decisions.get(request, ()))

    def counting_vetoes(self, digest):
        asked = self.asked.get(digest)
        if asked is None or not asked.recovery:
            return []
        return [v for v in self.vetoes.get(digest, ()) if v["person"] or asked.body["subject"] in v["subjects"]]

    def may_have_been_read(self, digest):
        approvers = {d["body"]["by"] for d in self.decisions.get(digest, ()) if d["body"]["choice"] == "approve"}
        asked = self.asked.get(digest)
        return bool(asked and asked.authorised) or len(approvers) >= 2

    def requests_in(self, matter):
        return [a for a in self.asked.values() if not a.recovery and a.body["matter"] == matter]

    def on_case(self, matter):
        """Everybody on the matter's case."""
        out = {b["by"] for b in self.matters.get(matter, {}).values()}
        for a in self.requests_in(matter):
            out.add(a.body["by"])
            out |= {d["body"]["by"] for d in self.decisions.get(a.digest, ()) if d["body"]["choice"] != "recuse"}
            if self.may_have_been_read(a.digest) and a.body["recipient"][0] != "filter_team":
                out.add(self.recipient_person(a, self.charter))
        return out - {None}

    def was_filter_team(self, matter, items, besides=None):
        out = set()
        for a in self.asked.values():
            if a.recovery or a.digest == besides or a.body["recipient"][0] != "filter_team":
                continue
            if self.may_have_been_read(a.digest) and (a.body["matter"] == matter or set(items) & set(a.body["items"])):
                out.add(a.body["recipient"][1]["id"])
        return out

    def enrolment_signers(self, key):
        return set().union(*(self.signers_of_enrolment[e["digest"]] for e in self.devices.get(key, ())), set())

    # What peers are asked about (sections 15 and 17)

    def concerns(self, digest):
        """(matter, consents, revocable) that an answer about this request must cover."""
        asked = self.asked[digest]
        consents = {i["consent"] for i in self.request_items(asked)}
        keys = {d["key"] for d in self.decisions.get(digest, ()) if d["body"]["choice"] == "approve"}
        keys.add(asked.key)
        enrolments = set()
        if asked.recovery:
            keys.add(asked.body["key"])
            enrolments.add(asked.body["enrolment"])
            return None, consents, {("key", k) for k in keys} | {("enrolment", e) for e in enrolments}
        people = {asked.body["by"]}
        kind, to = asked.body["recipient"]
        if kind == "device":
            keys.add(to["key"])
            enrolments.add(to["enrolment"])
        else:
            people.add(to["id"])
        for p in people & self.charter.people.keys():
            keys |= {k["key"] for k in self.charter.people[p]["keys"]}
        return asked.body["matter"], consents, {("key", k) for k in keys} | {("enrolment", e) for e in enrolments}

    def restrict(self, kind, body, digest, signers):
        """Remembers a restriction, unless it says nothing new."""
        order = ("approve", "recuse", "deny")
        if kind == "decision" and body["choice"] != "approve":
            before = self.strongest(body["request"], body["by"])
            if before is None or order.index(before) < order.index(body["choice"]):
                self.restrictions[digest] = digest
        elif kind == "matter" and body["action"] == "close":
            self.restrictions[digest] = digest
        elif kind == "withdrawal":
            what = (body["consent"], body["subject"], signers[0] in self.devices)
            self.restrictions.setdefault(what, digest)
        elif kind == "revocation":
            how, which = body["revokes"]
            self.restrictions.setdefault(which.raw if how == "key" else which, digest)
        elif kind == "cancellation":
            self.restrictions.setdefault((body["request"], body["by"]), digest)
        elif kind == "veto":
            self.restrictions.setdefault((body["recovery"], body["by"]), digest)

    # The fold. Everything here was admitted.

    def fold(self, entry, envelope, signers):
        at, kind, body, digest = entry.ts, envelope.kind, envelope.body, envelope.digest
        self.logged.setdefault(digest, kind)
        self.restrict(kind, body, digest, signers)
        if kind == "enrolment":
            for device in body["devices"]:
                known = {**device, "digest": digest, "from": body["from"], "until": body["until"], "logged": at}
                self.devices.setdefault(device["key"], []).append(known)
            holders = {c.holders[k][0]["id"] for k in signers for c in self.charters.values() if k in c.holders}
            self.signers_of_enrolment[digest] = holders
        elif kind == "revocation":
            what, which = body["revokes"]
            if what == "key":
                self.revoked_raw.setdefault(which.raw, digest)
            else:
                self.revoked_enrolments.setdefault(which, digest)
        elif kind == "consent":
            self.consents.setdefault(digest, body)
        elif kind == "withdrawal":
            self.withdrawals.setdefault(body["consent"], []).append(
                {"subject": body["subject"], "device": signers[0] in self.devices})
            if body["consent"] not in self.consents:
                for k in signers:
                    self.early[k] = self.early.get(k, 0) + 1
        elif kind == "deposit":
            deal = statements.deal(body["deal"])
            self.deals[statements.hexdigest(body["deal"])] = digest
            for item in deal["items"]:
                self.items[item["id"]] = {
                    **item, "consent": deal["consent"], "depositor": deal["depositor"], "generation": deal["generation"],
                    "policies": deal["policies"], "deposit": digest}
        elif kind == "matter":
            self.matters.setdefault(body["matter"], {})[digest] = body
        elif kind in ("request", "self-recovery"):
            key = body["key"] if kind == "self-recovery" else signers[0]
            self.asked[digest] = Asked(envelope, key, at)
        elif kind == "cancellation":
            self.cancellations.setdefault(body["request"], []).append(body["by"])
        elif kind == "decision":
            self.decisions.setdefault(body["request"], []).append(
                {"digest": digest, "body": body, "key": signers[0], "logged": at})
        elif kind == "veto":
            who, what = body["by"]
            subjects = {e["subject"] for e in self.live(what, at)} if who == "device" else set()
            self.vetoes.setdefault(body["recovery"], []).append({"person": who == "person", "subjects": subjects})
        elif kind == "query":
            self.queries.add(digest)

"""The acts and record layers of section 21: each entry of one log against the facts before it."""
import copy

from . import continued, gate, logs, statements
from .admit import Admission
from .facts import Facts, Refused, need
from .keys import hexdigest
from .statements import Bad

MINUTE = 60_000
NEEDS_NO_CHARTER = {"genesis", "log.continued", "clock.anomaly", "misbehaviour", "refused", "witness.cosigned", "release.aborted"}
BEFORE_CONTEXT = (["policy-unknown"], ["policy-error"], ["recipient-is-requestor"])


class Stop(Exception):
    """The log is judged up to here."""


class Judge:
    """Walks one log."""

    def __init__(self, evidence, log, report):
        self.evidence, self.log, self.report = evidence, log, report
        self.facts = Facts(log.seat, evidence.pinned)
        self.cosigned, self.last_release = [], None
        self.heads_shown, self.relied_on = [], []
        self.record, self.span, self.carry, self.genesis = [], None, None, None

    def run(self, judges):
        """Judges entry by entry; `judges`: those of the logs before."""
        facts = continued.before(self.evidence, judges, self.log, self.report)
        if facts is None:
            return
        self.facts = facts or self.facts
        self.genesis = None if self.facts.accepted else int(self.log.number > 1)
        cut = continued.cut(self.evidence, self.log)
        for entry in self.log.entries:
            if cut == entry.seq:
                self.carry = copy.deepcopy(self.facts)
            try:
                self.entry(entry)
            except Stop:
                break
            except Refused as e:
                self.violation(e.rule, entry, e)
            except Bad as e:
                self.violation("malformed", entry, e)
            self.span = (self.span[0] if self.span else entry.ts, entry.ts)
            if entry.type.startswith("release."):
                self.last_release = entry.seq
        else:
            if cut == len(self.log.entries):
                self.carry = copy.deepcopy(self.facts)
        for seq in sorted(self.facts.open):
            self.report.add("OK", "dangling", self.log.path, "an authorisation without an outcome", seq, self.log.seat)

    def violation(self, rule, entry, detail=""):
        self.report.add("VIOLATION", rule, self.log.path, detail, entry.seq, self.log.seat)

    def unresolved(self, entry, what):
        self.report.add("INCOMPLETE", "unresolved", self.log.path, f"{what} is not there", entry.seq, self.log.seat)

    def named(self, entry, digests, kind):
        """Statements of a kind that are named by payload digest, signed by their seat; None for one that is not."""
        out = []
        for digest in digests:
            found = self.evidence.by_digest.get(digest, ())
            if found:
                out.append(next((e for e in found if e.kind == kind and e.sound and self.evidence.by_seat(e)), None))
            else:
                self.unresolved(entry, f"{kind} {digest}")
        return out

    def entry(self, entry):
        facts = self.facts
        try:
            body = logs.read_body(entry)
        except Bad as e:
            self.violation("record", entry, e)
            return
        if (entry.type == "genesis") != (entry.seq == self.genesis):
            self.violation("genesis", entry, "a seat's first log begins with its genesis, and has one")
            return
        envelope = self.resolve(entry)
        if envelope is not None:
            if envelope.digest != entry.stmt:
                self.violation("statement-digest", entry, "stmt is not the digest of the payload of env")
                return
            kind = logs.NAMES_STATEMENT.get(entry.type, entry.type)
            if envelope.kind != kind:
                self.violation("record", entry, f"names a {envelope.kind}")
                return
        if self.facts.charter is None and entry.type not in NEEDS_NO_CHARTER:
            if entry.type == "release.delivered":
                self.note(entry, body, list)      # a head is a head
            return
        handler = getattr(self, "on_" + entry.type.replace(".", "_").replace("-", "_"), self.on_statement)
        handler(entry, body, envelope)

    def resolve(self, entry):
        """The statement that an entry names."""
        if not entry.env:
            return None
        if entry.env not in self.evidence.statements:
            self.unresolved(entry, f"envelope {entry.env}")
            raise Stop
        return self.evidence.statements[entry.env][1]

    # Entries

    def on_genesis(self, entry, body, envelope):
        charter = self.evidence.charters.get(envelope.digest)
        if body["seat"] != self.log.seat or envelope.digest != self.evidence.pinned or charter is None:
            raise Refused("genesis", "of another seat or charter")
        try:
            signers = envelope.signers(statements.by_id(charter.holders))
        except Bad as e:
            raise Refused("bad-signature", e) from None
        need(charter.admins_signed(signers), "charter-invalid", "no admin quorum")
        need(self.log.seat in charter.seats, "charter-invalid", "no such seat")
        self.facts.charters[charter.digest] = charter
        self.facts.accepted.append((charter, entry.ts))
        self.facts.logged[charter.digest] = "charter"

    def on_statement(self, entry, body, envelope):
        facts = self.facts
        if envelope.digest in facts.logged:
            raise Refused("logged-twice")
        envelope.body  # raises Bad: malformed
        if envelope.kind == "verdict":
            return self.judge_verdict(entry, envelope)
        signers = Admission(facts, envelope, entry.ts).admit()
        facts.fold(entry, envelope, signers)

    def on_log_continued(self, entry, body, envelope):
        if entry.seq or self.log.number == 1:
            self.violation("continued", entry, "only the first entry of a later log says what it goes on from")

    def on_clock_anomaly(self, entry, body, envelope):
        need(body["by_ms"] != 0, "clock", "an anomaly of nothing")

    def on_misbehaviour(self, entry, body, envelope):
        notes = {name: self.evidence.attachments.get(name) for name in (body["first"], body["second"])}
        for name in (n for n, data in notes.items() if data is None):
            self.unresolved(entry, f"note {name}")
        if None in notes.values():
            return
        try:
            heads = [(f"data/attachments/{n}", self.evidence.signed_head(notes[n], body["origin"]))
                     for n in (body["first"], body["second"])]
        except Bad as e:
            raise Refused("misbehaviour", e) from None
        (_, a), (_, b) = heads
        need(a.size == b.size and a.root != b.root, "misbehaviour", "the notes do not contradict each other")
        self.heads_shown += heads

    def on_charter_accepted(self, entry, body, envelope):
        self.facts.accept(body["charter"], entry.ts)

    def on_node_ready(self, entry, body, envelope):
        for seq in sorted(self.facts.open):
            self.violation("authorization-open", entry, f"a restart that did not abort entry {seq}")
        members = self.facts.charter.current["members"]
        peers = set(body["peers"]) & set(members) - {self.log.seat}
        needed = len(members) - self.facts.charter.current["t"] + 1
        if len(peers) < needed:
            self.violation("ready-quorum", entry, f"{len(peers)} peers, {needed} needed")
        for open_ in self.facts.open.values():
            open_["restarted"] = True

    def on_refused(self, entry, body, envelope):
        need(body["kind"] in statements.KINDS, "record", "unknown kind")
        self.facts.refused.add(body["statement"])

    def on_witness_cosigned(self, entry, body, envelope):
        origin, size, root = body["origin"], body["size"], body["root"]
        if origin == self.log.origin:
            self.violation("cosigned-own", entry, "a log does not witness itself")
        before = self.facts.heads.get(origin, (-1, ""))
        if size < before[0] or size == before[0] and root != before[1]:
            self.violation("cosigned-backwards", entry, f"{origin} at {size}")
        else:
            self.facts.heads[origin] = (size, root)
        self.cosigned.append((entry.seq, origin, size, bytes.fromhex(root)))

    def on_release_authorized(self, entry, body, envelope):
        facts, at = self.facts, entry.ts
        call = envelope.body
        permits = self.named(entry, body["permits"], "verdict")
        answers = self.named(entry, body["answers"], "restriction-answer")
        broken = []
        try:
            try:
                Admission(facts, envelope, at).admit()
                need(call["request"] == body["request"], "release-call", "for another request")
            except Refused as e:
                broken.append(e)
            facts.calls.add(envelope.digest)
            asked, counted = gate.could_permit(facts, body["request"], at)
            need(sorted(d["digest"] for d in counted.values()) == body["decisions"], "decisions", "not those counted")
            group = self.members(facts.request_items(asked)[0]["generation"])
            self.relied_on += [(entry, p) for p in permits if p and self.evidence.signed_under(p, p.body["charter"])]
            permitted = self.permits(entry, body["request"], group, permits)
            answered = self.answers(entry, body["request"], group, answers)
            # What is missing was reported; nothing can be counted without it.
            if len(permits) == len(body["permits"]) and len(answers) == len(body["answers"]):
                need(len(permitted) >= group["t"] - 1, "permits-missing", f"{len(permitted)} permits")
                need(len(answered) >= group["t"] - 1, "answer-invalid", f"{len(answered)} answers")
        except Refused as e:
            broken.append(e)
        for e in broken:
            self.violation(e.rule, entry, e)
        if body["request"] in facts.asked:
            facts.asked[body["request"]].authorised = True
        facts.open[entry.seq] = {"at": at, "request": body["request"], "restarted": False}

    def members(self, generation):
        return next((c.generations[generation] for c, _ in reversed(self.facts.accepted) if generation in c.generations), None)

    def permits(self, entry, request, group, permits):
        """The other members that permit; each permit must be in order."""
        facts, limits, seats = self.facts, self.facts.charter.limits, set()
        for e in permits:
            need(e is not None and self.evidence.signed_under(e, facts.charter.digest), "permit-invalid", "not signed by its seat")
            v = e.body
            seat = v["seat"]
            if seat == self.log.seat:
                continue
            need(seat in group["members"], "permit-invalid", "not of a member")
            need(v["org"] == facts.charter.body["org"] and v["request"] == request and v["outcome"] == "permit",
                 "permit-invalid", "not a permit for this request")
            need(v["charter"] == facts.charter.digest, "permit-invalid", "under another charter")
            need(entry.ts <= v["valid_until"], "permit-invalid", "expired")
            need(v["valid_until"] - v["decided"] <= limits["permit_life_s"] * 1000, "permit-invalid", "lives too long")
            need(v["decided"] <= entry.ts + limits["clock_skew_s"] * 1000, "permit-invalid", "decided in the future")
            seats.add(seat)
        return seats

    def permits_logged(self, judges):
        """A permit relied on here is in a log of its own seat, if that goes on after it was decided and lost nothing then."""
        for entry, permit in self.relied_on:
            seat, decided = permit.body["seat"], permit.body["decided"]
            own = [x for x in self.evidence.logs if x.seat == seat]
            last = own[-1].entries[-1].ts if own and own[-1].entries else 0
            if any(permit.digest in x.verdicts for x in own) or decided >= last or continued.lost(judges, seat, decided):
                continue
            self.report.add("VIOLATION", "verdict-unlogged", own[-1].path,
                            f"permit {permit.digest}, relied on in entry {entry.seq} of {self.log.path}", None, seat)

    def answers(self, entry, request, group, answers):
        """The other members that answer; each answer must be in order."""
        facts, seats = self.facts, set()
        matter, consents, revocable = facts.concerns(request)
        skew = facts.charter.limits["clock_skew_s"] * 1000
        for e in answers:
            need(e is not None and self.evidence.signed_under(e, facts.charter.digest), "answer-invalid", "not signed by its seat")
            a = e.body
            need(a["seat"] != self.log.seat, "answer-invalid", "its own")
            need(a["asker"] == self.log.seat and a["request"] == request and a["org"] == facts.charter.body["org"],
                 "answer-invalid", "made for somebody else")
            need(a["matter"] == matter and consents <= set(a["consents"]) and revocable <= set(a["revocable"]),
                 "answer-invalid", "leaves out what the request concerns")
            need(entry.ts - MINUTE - skew <= a["at"] <= entry.ts + skew, "answer-invalid", "of another time")
            known = facts.logged.keys() | facts.refused
            need(set(a["restrictions"]) <= known, "answer-invalid", "names a restriction that is not logged here")
            seats |= {a["seat"]} & set(group["members"])
        return seats

    def on_release_delivered(self, entry, body, envelope):
        facts = self.facts
        release = envelope.body
        opened = facts.open.pop(body["authorized"], None)
        if envelope.digest in facts.logged:
            raise Refused("logged-twice")
        checks = [
            lambda: need(opened is not None and opened["request"] == body["request"], "authorization", "not open"),
            lambda: opened and need(entry.ts - opened["at"] <= MINUTE, "authorization-age"),
            lambda: opened and need(not opened["restarted"], "authorization-restart"),
            lambda: Admission(facts, envelope, entry.ts).admit(),
            lambda: need((release["request"], release["reply"], release["attempt"])
                         == (body["request"], body["reply"], body["attempt"]), "release-statement"),
            lambda: need(release["charter"] == facts.charter.digest, "charter-stale"),
            lambda: self.scope(body, release),
            lambda: gate.could_permit(facts, body["request"], entry.ts),
            lambda: self.note(entry, body, lambda: [self.generation(body["request"])]),
        ]
        for check in checks:
            try:
                check()
            except Refused as e:
                self.violation(e.rule, entry, e)
        asked = facts.asked.get(body["request"])
        if asked:
            asked.delivered += 1
        facts.logged.setdefault(envelope.digest, "release")
        self.report.releases.append({
            "request": body["request"], "seat": self.log.seat, "attempt": body["attempt"], "seq": entry.seq,
            "at": statements.strict.show_time(entry.ts), "recipient": release["recipient"]})

    def scope(self, body, release):
        asked = self.facts.asked.get(body["request"])
        need(asked is not None, "request-unknown")
        need(body["attempt"] == asked.delivered + 1, "attempt")
        items = self.facts.request_items(asked)
        need(release["items"] == asked.body["items"], "release-scope", "other items")
        need({i["generation"] for i in items} == {release["generation"]}, "release-scope", "another generation")
        key = asked.body["sealing"] if asked.recovery else asked.body["recipient"][1]["sealing"]
        need(release["recipient"] == key, "release-scope", "another key")

    def generation(self, request):
        """That of the items asked for."""
        asked = self.facts.asked.get(request)
        items = self.facts.request_items(asked) if asked else []
        need(items, "item-unknown")
        return self.members(items[0]["generation"])

    def note(self, entry, body, groups):
        """The note of a delivery, whatever else is wrong with that; cosigners count if they are in one of the groups."""
        data = self.evidence.attachments.get(body["note"])
        if data is None:
            self.unresolved(entry, f"note {body['note']}")
            return
        try:
            head = self.evidence.signed_head(data, self.log.origin)
        except Bad as e:
            raise Refused("note", e) from None
        self.heads_shown.append((f"data/attachments/{body['note']}", head))
        need(body["authorized"] < head.size <= entry.seq, "note-size", f"size {head.size}")
        groups = groups()
        need(groups, "note", "the items' generation is not in the charter")
        charter = self.facts.charter
        members = {seat for group in groups for seat in group["members"]}
        peers, now, skew = set(), entry.ts // 1000, charter.limits["clock_skew_s"]
        for seat in members & charter.seats.keys() - {self.log.seat}:
            key = charter.seats[seat]["witness_key"].raw
            try:
                when = logs.cosigned(head.note, f"{charter.body['org']}/{seat}/witness", key)
                if when is not None and now - 60 - skew <= when <= now + skew:
                    peers.add(key)
            except Bad as e:
                raise Refused("note", e) from None
        need(len(peers) >= min(g["t"] for g in groups) - 1, "cosignatures", f"{len(peers)} cosigners of that time")

    def on_release_aborted(self, entry, body, envelope):
        opened = self.facts.open.pop(body["authorized"], None)
        need(opened is not None and opened["request"] == body["request"], "authorization", "not open")

    # The record layer

    def judge_verdict(self, entry, envelope):
        facts, v, at = self.facts, envelope.body, entry.ts
        Admission(facts, envelope, at).admit()
        facts.logged[envelope.digest] = "verdict"
        counts = self.report.counts.setdefault("verdicts", {})
        counts[v["outcome"]] = counts.get(v["outcome"], 0) + 1
        if v["context"] is not None and v["context"] not in self.evidence.attachments:
            self.unresolved(entry, f"context {v['context']}")
        found = self.record
        if v["charter"] != facts.charter.digest:
            found.append(("verdict-charter", entry, "not the charter in force"))
        if v["decided"] != at:
            found.append(("verdict-time", entry, "not the time of the entry"))
        life = facts.charter.limits["permit_life_s"] * 1000 if v["outcome"] == "permit" else 0
        if v["valid_until"] != v["decided"] + life:
            found.append(("verdict-life", entry, "another life than the charter gives"))
        try:
            asked = gate.floor(facts, v["request"], at)
        except Refused as e:
            if (v["outcome"], v["reasons"], v["context"], v["policies"], v["decisions"]) != ("refuse", [e.rule], None, [], []):
                found.append(("verdict-floor", entry, f"the floor refuses with {e.rule}"))
            return
        counted = gate.approvals(facts, asked)
        if v["context"] is None:
            if v["outcome"] != "refuse" or v["reasons"] not in BEFORE_CONTEXT:
                found.append(("verdict-floor", entry, "the floor refuses nothing"))
            return
        if v["context"] != hexdigest(gate.context(facts, asked, at)):
            found.append(("verdict-context", entry, "the facts give another context"))
        if v["decisions"] != sorted(d["digest"] for d in counted.values()):
            found.append(("verdict-decisions", entry, "not those that count"))
        if v["outcome"] == "permit" and len(counted) < 2:
            found.append(("verdict-approvers", entry, f"a permit on {len(counted)} approvals"))

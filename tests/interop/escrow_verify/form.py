"""Section 21, a bundle without content: of each log its form is checked. Who asked and approved is not here."""
from .acts import MINUTE, Judge
from .admit import Admission
from .facts import Refused

HERE = ("genesis", "charter", "verdict")


class Form(Judge):
    """Walks one log as Judge does, and judges nothing that rests on what people signed."""

    def __init__(self, evidence, log, report):
        super().__init__(evidence, log, report)
        self.asked = set()

    def resolve(self, entry):
        """The statement that an entry names, if it is here or should be; None where it need not be."""
        if entry.env not in self.evidence.statements and entry.type not in HERE:
            return None
        return super().resolve(entry)

    def on_statement(self, entry, body, envelope):
        if entry.stmt in self.facts.seen:
            self.violation("logged-twice", entry)
        self.facts.seen.add(entry.stmt)
        if entry.type in ("request", "self-recovery"):
            self.asked.add((entry.stmt, entry.type == "self-recovery"))
        if envelope is None:
            return
        if not envelope.sound:
            raise Refused("record", "not of its kind's form")
        if envelope.kind == "charter":
            signers = Admission(self.facts, envelope, entry.ts).admit()
            self.facts.fold(entry, envelope, signers)
            return
        v = envelope.body
        counts = self.report.counts.setdefault("verdicts", {})
        counts[v["outcome"]] = counts.get(v["outcome"], 0) + 1
        for holds, rule in ((v["seat"] == self.log.seat and self.evidence.signed_under(envelope, self.facts.charter.digest), "wrong-signer"),
                            (v["charter"] == self.facts.charter.digest, "verdict-charter"),
                            (v["decided"] == entry.ts, "verdict-time")):
            if not holds:
                self.violation(rule, entry)

    def mine(self):
        """The generation of the items is not told: it is one of those that this seat is in."""
        return [g for g in self.facts.charter.body["generations"] if self.log.seat in g["members"]]

    def on_release_authorized(self, entry, body, envelope):
        w = min((g["t"] - 1 for g in self.mine()), default=1)
        seats, missing = set(), 0
        for digest in body["permits"]:
            signed = [e for e in self.evidence.by_digest.get(digest, ())
                      if e.kind == "verdict" and e.sound and self.evidence.signed_under(e, e.body["charter"])]
            if not signed:
                missing += 1
                self.unresolved(entry, f"permit {digest}")
                continue
            v = signed[0].body
            self.relied_on.append((entry, signed[0]))
            if (v["outcome"] == "permit" and v["request"] == body["request"] and v["seat"] != self.log.seat
                    and entry.ts <= v["valid_until"]):
                seats.add(v["seat"])
            else:
                self.violation("permit-invalid", entry)
        for holds, rule in ((len(seats) + missing >= w, "permits-missing"), (len(body["answers"]) >= w, "peers-missing"),
                            (len(body["decisions"]) >= 2, "pending")):
            if not holds:
                self.violation(rule, entry)
        self.facts.open[entry.seq] = {"at": entry.ts, "request": body["request"], "restarted": False}

    def on_release_delivered(self, entry, body, envelope):
        opened = self.facts.open.pop(body["authorized"], None)
        if opened is None or opened["request"] != body["request"]:
            self.violation("authorization", entry, "not open")
        else:
            if entry.ts - opened["at"] > MINUTE:
                self.violation("authorization-age", entry)
            if opened["restarted"]:
                self.violation("authorization-restart", entry)
        self.facts.replies[body["request"]] = self.facts.replies.get(body["request"], 0) + 1
        if body["attempt"] != self.facts.replies[body["request"]]:
            self.violation("attempt", entry)
        self.note(entry, body, self.mine)

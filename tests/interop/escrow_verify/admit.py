"""Section 14: whether a node may log a statement, from the facts before it."""
from . import gate, statements
from .charters import Charter, check_charter
from .facts import Refused, need
from .statements import Bad

MONTH = 2_592_000_000


def restriction(envelope):
    kind, body = envelope.kind, envelope.body
    return (kind in statements.RESTRICTIONS or kind == "matter" and body["action"] == "close"
            or kind == "decision" and body["choice"] != "approve")


class Admission:
    """One statement at one entry. Raises Refused, or Bad for what is no such statement at all."""

    def __init__(self, facts, envelope, at):
        self.facts, self.envelope, self.at = facts, envelope, at
        self.kind, self.body = envelope.kind, envelope.body
        self.skew = facts.charter.limits["clock_skew_s"] * 1000 if facts.charter else 0

    def admit(self):
        facts, body = self.facts, self.body
        if self.kind == "charter":
            return self.charter_version()
        need(body["org"] == facts.charter.body["org"], "wrong-org")
        try:
            self.signers = self.envelope.signers(facts.candidates())
        except Bad as e:
            raise Refused("bad-signature", e) from None
        named = facts.named(body["charter"])
        if self.kind in ("deposit", "verdict", "release", "restriction-answer", "receipt", "view"):
            self.versions = [facts.charter]
        elif restriction(self.envelope):
            need(named is not None, "charter-unknown")
            self.versions = [named if facts.was_in_force(named.digest) else facts.charter, facts.charter]
        else:
            need(body["charter"] == facts.charter.digest,
                 "charter-stale" if facts.was_in_force(body["charter"]) else "charter-unknown")
            self.versions = [facts.charter]
        rule = getattr(self, self.kind.replace("-", "_"), None)
        need(rule is not None, "not-submittable")
        rule()
        return self.signers

    # What several kinds share

    def dated(self, when):
        need(when <= self.at + self.skew, "clock-skew", "dated in the future")

    def fresh(self, when):
        need(abs(self.at - when) <= self.skew, "clock-skew", "not fresh")

    def any_version(self, check):
        """A check that one of the versions must pass; the last one's refusal is the answer."""
        for version in self.versions[:-1]:
            try:
                return check(version)
            except Refused:
                pass
        return check(self.versions[-1])

    def listed(self):
        """Every signature is by a key that one of the versions lists for a person."""
        need(all(any(k in c.holders for c in self.versions) for k in self.signers), "bad-signature", "by an unlisted key")

    def person(self, who, *roles, office=lambda charter: True):
        """One signature, by a valid key of this person, who holds one of the roles (none: any person)."""
        need(len(self.signers) == 1, "bad-signature", "exactly one signature expected")
        key = self.signers[0]

        def check(charter):
            window = self.facts.person_key(charter, who, key)
            need(window is not None, "wrong-signer")
            need(key.raw not in self.facts.revoked_raw, "key-revoked")
            need(window["from"] <= self.at < window["until"], "key-not-valid")
            need(not roles or set(roles) & set(charter.people[who]["roles"]), "not-entitled")
            need(office(charter), "not-entitled")
        return self.any_version(check)

    def anybody(self, role):
        need(len(self.signers) == 1, "bad-signature", "exactly one signature expected")

        def check(charter):
            holder = charter.holders.get(self.signers[0])
            need(holder is not None, "wrong-signer")
            self.person(holder[0]["id"], role)
        self.any_version(check)

    def device(self, subject=None, key=None):
        need(len(self.signers) == 1, "bad-signature", "exactly one signature expected")
        need(key is None or self.signers[0] == key, "wrong-signer")
        live = self.facts.live(self.signers[0], self.at)
        need(live, "not-enrolled")
        need(subject is None or any(e["subject"] == subject for e in live), "wrong-signer")

    def quorum(self, charter, role):
        return charter.quorum(role, self.signers, self.at, self.facts.revoked_raw)

    def token_versions(self, *tokens):
        need(all(v in self.facts.charter.body["token_versions"] for v, _ in tokens), "malformed", "token version")

    def basis_signers(self, charter, basis):
        """Each role listed for the basis, by a different person."""
        self.listed()
        roles = next((b["roles"] for b in charter.body["basis_signers"] if b["basis"] == basis), None)
        need(roles is not None, "not-entitled")
        people = []
        for k in self.signers:
            person, window = charter.holders.get(k, (None, None))
            if person and window["from"] <= self.at < window["until"] and k.raw not in self.facts.revoked_raw:
                people.append((person["id"], set(person["roles"])))

        def assign(left, used):
            return not left or any(left[0] in r and i not in used and assign(left[1:], used | {i}) for i, r in people)
        need(assign(roles, frozenset()), "quorum-missing")

    # Kinds

    def charter_version(self):
        facts = self.facts
        charter = Charter(self.envelope)
        before = facts.charters.get(charter.previous)
        need(before is not None, "charter-unknown", "no known predecessor")
        need(charter.body["org"] == facts.charter.body["org"], "wrong-org")
        candidates = statements.by_id([*before.holders, *charter.holders])
        try:
            self.signers = self.envelope.signers(candidates)
        except Bad as e:
            raise Refused("bad-signature", e) from None
        try:
            check_charter(charter, self.signers, before, facts.chain(before), facts.revoked_raw)
        except Bad as e:
            raise Refused("charter-invalid", e) from None
        self.dated(charter.body["issued"])
        used = {i["generation"] for i in facts.items.values()}
        need(used <= charter.generations.keys(), "charter-invalid", "drops a generation with live items")
        facts.charters[charter.digest] = charter
        return self.signers

    def enrolment(self):
        facts, charter = self.facts, self.facts.charter
        self.listed()
        need(self.quorum(charter, "registrar") >= charter.body["registrar_quorum"], "quorum-missing")
        self.token_versions(*(d["subject"] for d in self.body["devices"]))
        seats, people = charter.body["seats"], charter.body["people"]
        listed = {s[k].raw for s in seats for k in ("statement_key", "log_key", "witness_key")}
        listed |= {k["key"].raw for p in people for k in p["keys"]}
        opened = {s["sealing"] for s in seats} | {p["sealing"] for p in people}
        sealed_to = {e["sealing"]: e["subject"] for known in facts.devices.values() for e in known}
        for d in self.body["devices"]:
            need(d["sealing"].usable(), "malformed", "sealing key")
            known = facts.devices.get(d["key"], ())
            need(d["key"].raw not in listed and all(e["subject"] == d["subject"] for e in known), "device-taken")
            need(d["sealing"] not in opened, "device-taken", "a listed sealing key")
            need(sealed_to.setdefault(d["sealing"], d["subject"]) == d["subject"], "device-taken", "another's sealing key")

    def revocation(self):
        self.listed()
        named = self.versions[0].body
        most = lambda role: max(self.quorum(c, role) for c in self.versions)
        need(most("registrar") >= named["registrar_quorum"] or most("admin") >= named["admin_quorum"], "quorum-missing")

    def consent(self):
        c, charter = self.body, self.facts.charter
        self.token_versions(c["subject"])
        self.dated(c["record"]["event_time"])
        need(self.at < c["expires"], "consent-expired")
        need(all(p in charter.body["controllers"] for p in c["record"]["controllers"]), "consent-scope")
        need(all(charter.policies.get(p["id"]) == p["digest"] for p in c["policies"]), "policy-unknown")
        if c["basis"] == "consent":
            self.device(c["subject"])
        else:
            self.basis_signers(charter, c["basis"])

    def withdrawal(self):
        w, facts = self.body, self.facts
        known = facts.consents.get(w["consent"])
        other = known is not None and known["basis"] != "consent"
        checks = [] if other else [lambda: self.device(w["subject"])]
        checks.append(lambda: self.anybody("subject-rights"))
        if other:
            checks.append(lambda: self.any_version(lambda c: self.basis_signers(c, known["basis"])))
        for i, check in enumerate(checks):
            try:
                check()
                break
            except Refused:
                if i == len(checks) - 1:
                    raise
        if known is not None:
            need(w["subject"] == known["subject"], "wrong-signer")
        else:
            need(facts.early.get(self.signers[0], 0) < 64, "early-withdrawals")

    def deposit(self):
        facts, d, charter = self.facts, self.body, self.facts.charter
        if d["charter"] != charter.digest:
            need(d["charter"] in facts.order(), "charter-unknown")
            ended = next(since for (c, _), (_, since) in zip(facts.accepted, facts.accepted[1:]) if c.digest == d["charter"])
            need(self.at - ended <= charter.limits["charter_grace_s"] * 1000, "charter-stale")
        self.dated(d["at"])
        self.device(d["depositor"])
        try:
            deal = statements.deal(d["deal"])
        except Bad as e:
            raise Refused("deal-invalid", e) from None
        need(deal["org"] == d["org"] and deal["depositor"] == d["depositor"], "deal-invalid")
        need(statements.hexdigest(d["deal"]) not in facts.deals, "deal-replayed")
        g = charter.current
        need((deal["generation"], deal["t"], deal["n"]) == (g["number"], g["t"], len(g["members"])), "generation")
        need([b["seat"] for b in d["blobs"]] == g["members"], "generation")
        consent = facts.consents.get(deal["consent"])
        facts.consent_live(deal["consent"], self.at)
        need(consent["subject"] == d["depositor"], "consent-scope")
        need(all(gate.covers(consent, i["about"]) for i in deal["items"]), "consent-scope")
        need(deal["t"] >= consent["floor"]["t"] and deal["n"] >= consent["floor"]["n"], "consent-floor")
        need(all(p in consent["policies"] for p in deal["policies"]), "policy-not-agreed")
        need(all(any(c.policies.get(p["id"]) == p["digest"] for c, _ in facts.accepted) for p in deal["policies"]),
             "policy-unknown")
        for i in deal["items"]:
            self.token_versions(i["about"]["thread"], *(p["token"] for p in i["about"]["participants"]))

    def matter(self):
        m, facts = self.body, self.facts
        self.person(m["by"], "requestor")
        if m["action"] == "close":
            return
        self.dated(m["at"])
        if m["action"] == "open":
            known = facts.matters.get(m["matter"], {}).values()
            need(all(b["action"] != "open" for b in known), "matter-chain")
        else:
            head = facts.matter_head(m["matter"])
            need(head is not None and head[0] == m["previous"] and head[1]["action"] == "close", "matter-chain")

    def asked(self, mine):
        r, limits = self.body, self.facts.charter.limits
        self.dated(r["created"])
        need(len(r["items"]) <= limits["items_per_request"], "request-limits")
        need(r["expires"] - r["created"] <= limits["request_life_s"] * 1000, "request-limits")
        need(self.at < r["expires"], "request-expired")
        recent = [a for a in self.facts.asked.values() if mine(a) and a.logged > self.at - MONTH]
        need(len(recent) < limits["requests_per_requestor_month"], "requestor-limits")
        items = sum(len(a.body["items"]) for a in recent) + len(r["items"])
        need(items <= limits["items_per_requestor_month"], "requestor-limits")

    def request(self):
        r = self.body
        self.person(r["by"], "requestor")
        self.asked(lambda a: not a.recovery and a.body["by"] == r["by"])
        gate.within_limits(self.facts.charter, r, False)

    def self_recovery(self):
        r = self.body
        self.device(r["subject"], r["key"])
        self.asked(lambda a: a.recovery and a.body["key"] == r["key"])

    def veto(self):
        who, what = self.body["by"]
        if who == "person":
            self.person(what, "subject-rights")
        else:
            self.device(key=what)

    def cancellation(self):
        c = self.body
        self.person(c["by"], "requestor")
        asked = self.facts.asked.get(c["request"])
        need(asked is None or asked.recovery or asked.body["by"] == c["by"], "not-entitled")

    def decision(self):
        d, facts = self.body, self.facts
        self.person(d["by"], d["role"], office=lambda charter: d["role"] in charter.body["approver_roles"])
        if d["choice"] != "approve":
            return
        self.dated(d["at"])
        asked = facts.asked.get(d["request"])
        if asked is None:
            return
        who, charter = d["by"], facts.charter
        need(not facts.in_scope(charter, who, asked), "approver-in-scope")
        if asked.recovery:
            need(who not in facts.enrolment_signers(asked.body["key"]), "approver-in-scope")
            return
        body = asked.body
        need(who != body["by"], "approver-is-requestor")
        kind, to = body["recipient"]
        need(kind == "device" or who != to["id"], "approver-is-recipient")
        need(who not in facts.was_filter_team(body["matter"], body["items"], asked.digest), "filter-team-on-case")

    def query(self):
        q, facts = self.body, self.facts
        who, what = q["by"]
        question, about = q["what"]
        if who == "person":
            self.person(what)
            need(question != "own", "not-entitled")
        else:
            self.device(key=what)
            need(question in ("activity", "consents", "own", "recoveries", "evaluate"), "not-entitled")
            if question == "evaluate":
                need(self.device_may_evaluate(what, about), "not-entitled")
        self.fresh(q["at"])
        need(q["seat"] == facts.seat, "wrong-signer")
        need(self.envelope.digest not in facts.queries, "clock-skew")
        if question == "preview":
            need(q["by"] == ("person", about["by"]), "not-entitled")
            need(about["org"] == q["org"] and about["charter"] == q["charter"], "charter-stale")

    def device_may_evaluate(self, key, digest):
        asked = self.facts.asked.get(digest)
        if asked is None:
            return False
        if asked.recovery:
            if asked.body["key"] == key:
                return True
        else:
            kind, to = asked.body["recipient"]
            if kind == "device" and to["key"] == key:
                return True
            how, notice = asked.body["notice"]
            if how == "delayed" and self.at < notice["until"]:
                return False
        subjects = {e["subject"] for e in self.facts.live(key, self.at)}
        return any(i["depositor"] in subjects for i in self.facts.request_items(asked))

    def seat_signed(self):
        seat = self.facts.charter.seats.get(self.facts.seat)
        need(self.body["seat"] == self.facts.seat and seat is not None
             and self.signers == [seat["statement_key"]], "wrong-signer")

    def verdict(self):
        self.seat_signed()

    def release(self):
        self.seat_signed()

    def release_call(self):
        c, facts = self.body, self.facts
        who, what = c["by"]
        if who == "person":
            self.person(what)
        else:
            self.device(key=what)
        self.fresh(c["at"])
        need(self.envelope.digest not in facts.calls, "clock-skew")
        asked = facts.asked.get(c["request"])
        need(asked is not None, "request-unknown")
        if asked.recovery:
            need(c["by"] == ("device", asked.body["key"]), "not-entitled")
            return
        kind, to = asked.body["recipient"]
        allowed = [("person", asked.body["by"]), ("device", to["key"]) if kind == "device" else ("person", to["id"])]
        need(c["by"] in allowed, "not-entitled")

"""Sections 3, 4 and 6: envelopes, the shape of every kind, deals and item ids."""
import functools
import json

from . import strict
from .keys import hexdigest, labelled, p256_point, public, sealing, sha256
from .strict import (Bad, also, blob, boolean, code, digest, listed, match, matter, nonce, number, one_of, optional, org,
                     person, record, role, seat, text, time, token, u8, u32, word)

SMALL, LARGE = 64 * 1024, 2 * 1024 * 1024
ENVELOPE, SLACK = 3 * 1024 * 1024, 4 * 1024
BASES = ("consent", "works-agreement", "legal-obligation", "order", "contract")
ITEMS = 10_000

basis = word(*BASES)
party = record(id=code, name=code, kind=code, contact=code, address=code)
authority = optional(record(reference=code, document=digest))
policy_refs = listed(record(id=code, digest=digest), 1, 16, ordered=True, key=lambda p: p["id"])
codes = listed(code, 1, ordered=True)
digests = listed(digest, ordered=True)
tokens = listed(token, 1, ordered=True)
revoked = one_of(enrolment=digest, key=public)
caller = one_of(person=person, device=public)


def revoked_order(value):
    kind, what = value
    return (kind == "key", (what.raw, what.method, what.encoding) if kind == "key" else (bytes.fromhex(what), "", b""))


def spoken(shape, low, high):
    return also(shape, lambda v: low <= len(v.encode()) <= high, f"{low} to {high} bytes expected")


limits = record(**{name: number() for name in (
    "request_life_s", "items_per_request", "requests_per_requestor_month", "items_per_requestor_month", "permit_life_s",
    "notice_delay_days", "recovery_delay_s", "clock_skew_s", "charter_grace_s", "sealing_key_days")})
scope = also(record(threads=tokens, from_=time, to=time), lambda s: s["from"] < s["to"], "covers no time")
custodians = listed(token, 0, 1000, ordered=True)
epochs = optional(also(record(first=number(), last=number()), lambda e: e["first"] <= e["last"], "covers no epoch"))
selection = also(
    record(custodians=custodians, epochs=epochs, from_=time, to=time,
           context=record(hours=number(0, 8784), messages=number(0, 10_000)),
           zone=match(r"[A-Za-z0-9/_+-]{1,64}", "a time zone")),
    lambda s: s["from"] < s["to"], "asks for no time")
custodian_scope = also(
    record(custodians=listed(token, 1, 1000, ordered=True), from_=time, to=time), lambda s: s["from"] < s["to"],
    "covers no time")
HEAD = dict(org=org, nonce=nonce)


def statement(kind, limit, rules=(), **members):
    head = HEAD if kind == "charter" else {**HEAD, "charter": digest}
    shape = record(kind=word(kind), **head, **members)

    def check(value):
        out = shape(value)
        for holds, message in rules:
            if not holds(out):
                raise Bad(message)
        return out
    return limit, check


request_rules = (
    (lambda r: r["counts"] == {"items": len(r["items"]), "threads": len(r["scope"]["threads"])}, "counts differ"),
    (lambda r: r["selection"] is None or (r["scope"]["from"] <= r["selection"]["from"]
                                          and r["selection"]["to"] <= r["scope"]["to"]), "asks outside the scope"),
    (lambda r: r["created"] < r["expires"], "expires before it is created"),
    (lambda r: r["basis"] == "consent" or r["authority"] is not None, "an authority is needed on this basis"),
)
items = listed(digest, 1, ITEMS, ordered=True)
outcome = word("permit", "pending", "refuse")
consent_record = record(
    schema_version=code, record_id=code, jurisdiction=code, pii_types=codes, controllers=listed(party, 1),
    storage_locations=codes, recipients=codes, withdrawal_method=code, event_time=time, event_type=code,
    event_state=also(code, lambda c: c == "given", "event_state is given"), entity_id=code)

KINDS = {
    "charter": statement(
        "charter", LARGE,
        ((lambda c: (c["version"] == 1) == (c["previous"] is None), "only version 1 has no previous version"),),
        demo=boolean, version=number(1), previous=optional(digest), voided=listed(digest), issued=time,
        seats=listed(record(
            index=seat, name=code, operators=listed(person), operator=code, jurisdiction=code, url=text, tls_pin=digest,
            statement_key=public, log_origin=text, log_key=public, witness_key=public, sealing=sealing,
            previous_log_head=optional(digest))),
        generations=listed(record(number=u32, t=u8, members=listed(seat))),
        people=listed(record(
            id=person, name=text, roles=listed(role), keys=listed(record(key=public, from_=time, until=time)),
            sealing=optional(sealing), subject=one_of("no_subject", tokens=listed(token)))),
        policies=listed(record(id=code, schema=u32, text=text)),
        admin_quorum=u32, registrar_quorum=u32, approver_roles=listed(role),
        basis_signers=listed(record(basis=basis, roles=listed(role))), token_versions=listed(u32),
        controllers=listed(party), limits=limits),
    "enrolment": statement(
        "enrolment", LARGE,
        ((lambda e: e["from"] < e["until"], "ends before it begins"),
         (lambda e: all(d["key"].method != "sshsig" for d in e["devices"]), "sshsig is for people"),
         (lambda e: len({d["key"].raw for d in e["devices"]}) == len(e["devices"]), "one device key twice")),
        devices=listed(record(subject=token, key=public, sealing=sealing), 1, 256), from_=time, until=time),
    "revocation": statement("revocation", SMALL, revokes=revoked, reason=code, at=time),
    "consent": statement(
        "consent", SMALL,
        ((lambda c: c["from"] < c["to"], "covers no time"),
         (lambda c: c["epochs"] is None or c["epochs"]["first"] <= c["epochs"]["last"], "covers no epoch"),
         (lambda c: 2 <= c["floor"]["t"] <= c["floor"]["n"], "floor: 2 <= t <= n"),
         (lambda c: (c["basis"] == "consent") == (c["authority"] is None), "authority goes with every basis but consent")),
        subject=token, coverage=one_of("workspace", threads=tokens), from_=time, to=time,
        epochs=optional(record(first=number(), last=number())), purposes=codes, basis=basis, authority=authority,
        policies=policy_refs, floor=record(t=u8, n=u8), retention_days=number(1, 2**32 - 1),
        notice=record(digest=digest, language=code, terms=code), expires=time, record=consent_record),
    "withdrawal": statement("withdrawal", SMALL, consent=digest, subject=token, at=time),
    "deposit": statement(
        "deposit", LARGE, depositor=token, deal=blob,
        blobs=listed(record(seat=seat, sha256=digest), 2, ordered=True, key=lambda b: b["seat"]), at=time),
    "matter": statement(
        "matter", SMALL,
        ((lambda m: (m["action"] == "open") == (m["previous"] is None), "only the opening has no predecessor"),),
        matter=matter, action=word("open", "close", "reopen"), previous=optional(digest), by=person, title=digest, at=time),
    "request": statement(
        "request", LARGE, request_rules,
        matter=matter, by=person, basis=basis, authority=authority, purpose=code, scope=scope, selection=optional(selection),
        items=items,
        counts=record(items=number(), threads=number()),
        recipient=one_of(person=record(id=person, sealing=digest), filter_team=record(id=person, sealing=digest),
                         device=record(enrolment=digest, key=public, sealing=digest)),
        policy=code, notice=one_of("immediate", delayed=record(order=code, until=time)), created=time, expires=time),
    "cancellation": statement("cancellation", SMALL, request=digest, by=person, at=time),
    "decision": statement(
        "decision", SMALL, request=digest, by=person, role=role, choice=word("approve", "recuse", "deny"), reason=code,
        at=time),
    "self-recovery": statement(
        "self-recovery", LARGE, ((lambda r: r["created"] < r["expires"], "expires before it is created"),),
        subject=token, enrolment=digest, key=public, sealing=digest, items=items, policy=code, created=time, expires=time),
    "veto": statement("veto", SMALL, recovery=digest, by=caller, reason=code, at=time),
    "release-call": statement("release-call", SMALL, request=digest, by=caller, at=time),
    "query": statement(
        "query", LARGE, by=caller, seat=seat, at=time, what=one_of(
            "matters", "requests", "recoveries", "own", "activity", "consents", evaluate=digest,
            preview=lambda v: KINDS["request"][1](v), items=scope, items_of=custodian_scope,
            exported=record(bundle=digest, export=nonce, requests=listed(digest, 0, 10_000, ordered=True)),
            entries=record(log=number(1, 2**32 - 1), from_=number(), count=number(1, 1000)), views=nonce)),
    "receipt": statement(
        "receipt", SMALL, seat=seat, statement=digest, envelope=digest, log=text, seq=number(), leaf=digest, at=time),
    "verdict": statement(
        "verdict", LARGE,
        ((lambda v: v["decided"] <= v["valid_until"], "ends before it is decided"),
         (lambda v: (v["outcome"] == "refuse") != (not v["reasons"]), "reasons go with refusal"),
         (lambda v: (v["outcome"] == "pending") != (not v["lacking"]), "what is lacking goes with pending")),
        seat=seat, request=digest, outcome=outcome, lacking=listed(record(what=code, have=number(), need=number())),
        reasons=listed(code),
        policies=listed(record(policy=digest, current=boolean, allowed=boolean, determining=listed(code))),
        decisions=listed(digest), context=optional(digest), decided=time, valid_until=time),
    "release": statement(
        "release", LARGE, seat=seat, generation=u32, request=digest, items=listed(digest, 1, ordered=True),
        recipient=digest, reply=digest, attempt=number(1)),
    "restriction-answer": statement(
        "restriction-answer", LARGE,
        ((lambda a: a["after"] <= a["upto"], "ends before it begins"),
         (lambda a: a["request"] is None or a["after"] == 0, "about a request the whole log counts")),
        seat=seat, asker=seat, asked=nonce, request=optional(digest), matter=optional(matter), consents=digests,
        revocable=listed(revoked, ordered=True, key=revoked_order), after=number(), upto=number(), restrictions=digests,
        at=time),
    "view": statement("view", LARGE, seat=seat, log=text, note=optional(text), export=nonce, at=time),
    "notification": statement(
        "notification", SMALL,
        ((lambda n: (n["event"] == "request-waits") == (n["matter"] is not None), "a matter goes with a request"),),
        seat=seat, event=word("request-waits", "recovery-waits"), about=digest, matter=optional(matter), at=time),
}
RESTRICTIONS = {"revocation", "withdrawal", "cancellation", "veto"}


_envelope = record(payload=blob, payloadType=text, signatures=listed(record(keyid=text, sig=blob), 1, 32))
_payload_type = match(r"application/vnd\.escrow\.[a-z-]+\.v1\+json", "a payload type")
_key_id = match(r"[0-9a-f]{16}", "a key id")


class Envelope:
    """A DSSE envelope as it arrived. Nothing about it is verified but its own form."""

    def __init__(self, data):
        value = strict.parse(data, ENVELOPE)
        members = _envelope(value)
        self.type = _payload_type(members["payloadType"])
        self.kind = self.type.removeprefix("application/vnd.escrow.").removesuffix(".v1+json")
        if self.kind not in KINDS:
            raise Bad(f"unknown kind {self.kind}")
        tight = len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())
        if len(data) > tight + SLACK:
            raise Bad("more white space than anything needs")
        self.data, self.payload = data, members["payload"]
        self.signatures = [(_key_id(s["keyid"]), s["sig"]) for s in members["signatures"]]
        self.digest, self.env = hexdigest(self.payload), hexdigest(data)

    @functools.cached_property
    def message(self):
        return b"DSSEv1 %d %s %d %s" % (len(self.type), self.type.encode(), len(self.payload), self.payload)

    @functools.cached_property
    def _body(self):
        limit, shape = KINDS[self.kind]
        try:
            return shape(strict.parse(self.payload, limit)), None
        except Bad as e:
            return None, e

    @property
    def body(self):
        """The payload under its kind's rules; raises Bad."""
        members, error = self._body
        if error:
            raise error
        return members

    @property
    def sound(self):
        return self._body[1] is None

    def signers(self, candidates):
        """The keys that signed, of those that `candidates` (key id to keys) offers; raises Bad if any signature fails."""
        signers = []
        for key_id, signature in self.signatures:
            found = [k for k in candidates.get(key_id, ()) if k.verifies(self.message, signature)]
            if not found:
                raise Bad(f"no known key made the signature under key id {key_id}")
            if any(k.raw == found[0].raw for k in signers):
                raise Bad("one key signed twice")
            signers.append(found[0])
        return signers


def by_id(keys):
    out = {}
    for k in keys:
        if k not in out.setdefault(k.id, []):
            out[k.id].append(k)
    return out


_about = also(
    record(source=word("mls10", "megolm", "content-key"), thread=token, era=number(), epoch=number(),
           authenticator=also(blob, lambda b: len(b) <= 64, "an authenticator has at most 64 bytes"), from_=time, to=time,
           archive=optional(digest),
           participants=listed(record(token=token, inside=boolean), 1, 1000, ordered=True, key=lambda p: p["token"])),
    lambda a: a["from"] < a["to"], "an item covers no time")
_deal = also(
    record(org=org, nonce=nonce, generation=u32, t=u8, n=u8, consent=digest, policies=policy_refs, depositor=token,
           items=listed(record(about=_about, commitments=blob, key_check=digest, wrapped=blob), 1, 256)),
    lambda d: 2 <= d["t"] <= d["n"], "2 <= t <= n")


@functools.lru_cache(4096)
def deal(data):
    """A deal under section 6, with the `id` of each item."""
    value = _deal(strict.parse(data, LARGE))
    name = sha256(data)
    for position, item in enumerate(value["items"]):
        points = item["commitments"]
        if len(points) != 65 * value["t"] or len(item["wrapped"]) != 60:
            raise Bad("commitments or wrapped key of another length")
        if not all(p256_point(points[i:i + 65]) for i in range(0, len(points), 65)):
            raise Bad("a commitment is no point")
        item["id"] = hexdigest(labelled("escrow/v1/item-id", name, position))
    return value

"""Statements of people, in full bundles."""
from forge import b64, hexed, Key, sha, signed, START, time

from .told import authorise, BOTH, DAY, deliver, enrolled, FULL, GONE, story


def request(w, life):
    person = next(p for p in w.charter["people"] if p["sealing"])
    return w.statement(
        "request", w.with_role("requestor"), matter="M-1", by=w.who("requestor"), basis="order",
        authority={"reference": "x", "document": GONE[0]}, purpose="investigation",
        scope={"threads": ["v1:" + hexed(b"thread")], "from": time(START - 9999), "to": time(START)}, selection=None,
        items=[hexed(b"item")], counts={"items": 1, "threads": 1},
        recipient={"person": {"id": person["id"], "sealing": GONE[1]}}, policy=w.charter["policies"][0]["id"],
        notice="immediate", created=time(START), expires=time(START + life))


def asked(w, over):
    ls, asks = w.logs(), request(w, w.limits["request_life_s"] * 1000 + over)
    ls[0].say(asks)
    return w.bundle(ls, statements=[asks], full=True)


@story("INCOMPLETE", None, FULL)
def a_request_that_lives_as_long_as_it_may(w, full):
    return asked(w, 0)


@story("VIOLATION", "request-limits", FULL)
def a_request_that_lives_a_moment_longer(w, full):
    return asked(w, 1)


@story("MISBEHAVIOUR", "fork", BOTH)
def a_fork_in_the_note_of_a_bad_release(w, full):
    ls, asks = w.logs(), request(w, DAY)
    log = ls[0]
    log.say(asks)
    call = w.statement("release-call", w.with_role("requestor"), request=asks.digest, by={"person": w.who("requestor")}, at=time(log.ts))
    authorized = authorise(log, [], call.names, request=asks.digest, decisions=[], answers=[])
    note = signed(f"{log.origin}\n{len(log.rows)}\n{b64(sha(b'another'))}\n", log.origin, log.key)
    release = w.statement(
        "release", [Key("seat 2")], seat=1, generation=1, request=asks.digest, items=[hexed(b"item")], recipient=GONE[1],
        reply=hexed(b"reply"), attempt=1)
    deliver(w, log, authorized, note, release=release.names, request=asks.digest)
    return w.bundle(ls, statements=[asks, call, release] if full else [], notes=[note], full=full)


def enrolled_by(w, *more):
    ls = w.logs()
    enrolment, _ = enrolled(w, ls[0], signers=[*w.with_role("registrar"), *more])
    return w.bundle(ls, statements=[enrolment], full=True)


@story("INCOMPLETE", None, FULL)
def an_enrolment_that_an_officer_signed_too(w, full):
    return enrolled_by(w, *w.with_role("legal"))


@story("VIOLATION", "bad-signature", FULL)
def an_enrolment_that_a_seat_signed_too(w, full):
    return enrolled_by(w, Key("seat 2"))


def withdrawn(w, times):
    ls = w.logs()
    enrolment, subject = enrolled(w, ls[0])
    statements = [w.statement("withdrawal", [Key("device")], consent=GONE[0], subject=subject, at=time(START)) for _ in range(times)]
    for withdrawal in statements:
        ls[0].say(withdrawal)
    return w.bundle(ls, statements=[enrolment, *statements], full=True)


@story("INCOMPLETE", None, FULL)
def an_unknown_consent_withdrawn_64_times(w, full):
    return withdrawn(w, 64)


@story("VIOLATION", "early-withdrawals", FULL)
def an_unknown_consent_withdrawn_65_times(w, full):
    return withdrawn(w, 65)


def cancelled(w, recovery):
    """The requestor cancels a self-recovery, or somebody else's request."""
    ls = w.logs()
    enrolment, subject = enrolled(w, ls[0])
    if recovery:
        case = w.statement(
            "self-recovery", [Key("device")], subject=subject, enrolment=enrolment.digest, key=Key("device").text,
            sealing=GONE[1], items=[hexed(b"item")], policy=w.charter["policies"][0]["id"], created=time(START),
            expires=time(START + DAY))
    else:
        case = request(w, DAY)
    by = w.who("requestor") if recovery else w.who("legal")
    cancels = w.statement("cancellation", [Key(by)], request=case.digest, by=by, at=time(START))
    ls[0].say(case)
    ls[0].say(cancels)
    return w.bundle(ls, statements=[enrolment, case, cancels], full=True)


@story("INCOMPLETE", None, FULL)
def a_cancelled_self_recovery(w, full):
    return cancelled(w, True)


@story("VIOLATION", "not-entitled", FULL)
def a_request_that_somebody_else_cancels(w, full):
    return cancelled(w, False)


def denied(w, roles):
    """Somebody who holds an office that decides only since version 2 denies, naming version 1."""
    def change(body):
        body["approver_roles"] = sorted({*body["approver_roles"], *roles})
    charter, ls = w.successor(w.genesis, change), w.logs()
    w.accept(ls[0], charter)
    denial = w.statement("decision", w.with_role("officer"), request=GONE[0], by=w.who("officer"), role="officer", choice="deny",
                         reason="none", at=time(START))
    ls[0].say(denial)
    return w.bundle(ls, charters=[charter], statements=[denial], full=True)


@story("INCOMPLETE", None, FULL)
def a_denial_by_an_office_of_the_version_in_force(w, full):
    return denied(w, ["officer"])


@story("VIOLATION", "not-entitled", FULL)
def a_denial_by_no_office(w, full):
    return denied(w, [])


def revoked_by(w, *more):
    ls = w.logs()
    revocation = w.statement("revocation", [*w.with_role("registrar"), *more], revokes={"key": Key("device").text}, reason="x",
                             at=time(START))
    ls[0].say(revocation)
    return w.bundle(ls, statements=[revocation], full=True)


@story("INCOMPLETE", None, FULL)
def a_revocation_that_an_officer_signed_too(w, full):
    return revoked_by(w, *w.with_role("legal"))


@story("VIOLATION", "bad-signature", FULL)
def a_revocation_that_a_seat_signed_too(w, full):
    return revoked_by(w, Key("seat 2"))

"""What entries say and name."""
from escrow_verify import logs

from forge import hexed, START, Statement

from .told import authorise, BOTH, clock, GONE, permit, story


@story("INCOMPLETE", "views-missing", BOTH)
def honest(w, full):
    return w.bundle(w.logs(), full=full)


@story("VIOLATION", "clock", BOTH)
def a_clock_that_moved_by_nothing(w, full):
    ls = w.logs()
    clock(ls[0])
    return w.bundle(ls, full=full)


@story("VIOLATION", "clock")
def a_flood_of_missing_permits(w, full):
    ls = w.logs()
    for half in (0, 1):
        authorized = authorise(ls[0], [hexed(b"%d %d" % (half, n)) for n in range(900)])
        ls[0].add("release.aborted", {
            "event": "aborted", "authorized": authorized, "reason": "restart", "request": hexed(b"request")})
    clock(ls[0])
    return w.bundle(ls)


@story("VIOLATION", "clock", BOTH)
def a_second_genesis_of_what_is_not_there(w, full):
    ls = w.logs()
    ls[0].add("genesis", {"event": "genesis", "seat": 1}, GONE)
    clock(ls[0])
    return w.bundle(ls, full=full)


@story("VIOLATION", "clock", BOTH)
def a_verdict_that_says_ready_and_is_not_there(w, full):
    ls = w.logs()
    ls[0].add("verdict", {"event": "ready", "peers": [2]}, GONE)
    clock(ls[0])
    return w.bundle(ls, full=full)


@story("VIOLATION", "record")
def a_deposit_that_names_a_verdict(w, full):
    ls, verdict = w.logs(), permit(w, 1, START)
    ls[0].add("deposit", {"event": "statement"}, verdict.names)
    return w.bundle(ls, statements=[verdict])


@story("VIOLATION", "statement-digest")
def a_deposit_that_names_a_verdict_by_another_digest(w, full):
    ls, verdict = w.logs(), permit(w, 1, START)
    ls[0].add("deposit", {"event": "statement"}, (GONE[0], verdict.names[1]))
    return w.bundle(ls, statements=[verdict])


@story("VIOLATION", "record")
def an_authorisation_by_a_verdict(w, full):
    ls, verdict = w.logs(), permit(w, 1, START)
    authorise(ls[0], [hexed(b"another")], verdict.names)
    return w.bundle(ls, statements=[verdict])


@story("VIOLATION", "verdict-unlogged")
def a_permit_that_its_seat_logged_as_a_deposit(w, full):
    ls = w.logs()
    verdict = permit(w, 1, ls[2].ts + 900)
    authorized = authorise(ls[2], [verdict.digest])
    ls[2].add("release.aborted", {
        "event": "aborted", "authorized": authorized, "reason": "restart", "request": hexed(b"request")})
    ls[0].add("deposit", {"event": "statement"}, (verdict.digest, GONE[1]), ls[2].ts + 5_000)
    return w.bundle(ls, statements=[verdict])


@story("VIOLATION", "record")
def a_refusal_by_a_made_up_rule(w, full):
    ls = w.logs()
    ls[0].add("refused", {"event": "refused", "kind": "deposit", "rule": "made-up", "statement": GONE[0]})
    return w.bundle(ls)


@story("VIOLATION", "record")
def a_refusal_spelled_otherwise(w, full):
    ls = w.logs()
    ls[0].add("refused", {"event": "refused", "kind": {"deposit": None}, "rule": "malformed", "statement": GONE[0]})
    return w.bundle(ls)


@story("INCOMPLETE")
def a_refusal(w, full):
    ls = w.logs()
    ls[0].add("refused", {"event": "refused", "kind": "deposit", "rule": "malformed", "statement": GONE[0]})
    return w.bundle(ls)


@story("INCOMPLETE")
def the_last_millisecond_of_9999(w, full):
    ls = w.logs()
    ls[0].add("clock.anomaly", {"event": "clock", "by_ms": 1}, at=logs.LATEST)
    return w.bundle(ls)


@story("VIOLATION", "record", BOTH)
def the_year_10000(w, full):
    ls = w.logs()
    ls[0].add("clock.anomaly", {"event": "clock", "by_ms": 1}, at=logs.LATEST + 1)
    return w.bundle(ls, full=full)


@story("VIOLATION", "record", BOTH)
def a_genesis_of_no_seat(w, full):
    return w.bundle(w.logs(body={"event": "genesis", "seat": 0}), full=full)


@story("VIOLATION", "statement-digest", BOTH)
def a_genesis_by_another_digest(w, full):
    return w.bundle(w.logs(statement=(GONE[0], w.genesis.names[1])), full=full)


@story("VIOLATION", None, BOTH)
def a_genesis_copy_with_one_signature(w, full):
    alone = Statement("charter", w.charter, w.admins[:1])
    return w.bundle(w.logs(genesis=alone), charters=[alone], full=full)


@story("INCOMPLETE", "unresolved")
def half_of_an_accusation(w, full):
    ls = w.logs()
    ls[0].add("misbehaviour", {
        "event": "misbehaviour", "first": GONE[0], "origin": ls[1].origin, "second": hexed(b"no note")})
    return w.bundle(ls, notes=[b"no note"])


@story("VIOLATION", "record")
def a_made_up_type_that_names_a_permit(w, full):
    ls, verdict = w.logs(), permit(w, 2, START)
    body = {"event": "authorized", "request": GONE[0], "decisions": [], "answers": [], "permits": [verdict.digest]}
    ls[0].add("release.x", body, GONE)
    return w.bundle(ls, statements=[verdict])


@story("VIOLATION", "record")
def an_authorisation_with_one_member_more(w, full):
    ls, verdict = w.logs(), permit(w, 2, START)
    authorise(ls[0], [verdict.digest], more=1)
    return w.bundle(ls, statements=[verdict])


@story("VIOLATION", "record")
def an_abortion_that_names_a_note(w, full):
    ls = w.logs()
    ls[0].add("release.aborted", {
        "event": "delivered", "authorized": 0, "note": hexed(b"no note"), "request": GONE[0], "reply": GONE[1], "attempt": 1})
    return w.bundle(ls, notes=[b"no note"])


@story("TAMPERED", "unreferenced")
def a_permit_that_a_cosignature_names(w, full):
    ls, verdict = w.logs(), permit(w, 2, START)
    ls[0].add("witness.cosigned", {"event": "cosigned", "permits": [verdict.digest]})
    return w.bundle(ls, statements=[verdict])

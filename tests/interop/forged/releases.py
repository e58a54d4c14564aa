"""Witnesses, releases, keys that were replaced, and views."""
import copy

from forge import b64, EXPORT, hexed, Key, sha, signed, START, time

from .told import authorise, base64_of, BOTH, clock, deliver, FULL, permit, released, second_log, story


@story("INCOMPLETE", None, BOTH)
def a_witness_goes_forward_in_its_next_log(w, full):
    return witnessed(w, full, 150)


@story("VIOLATION", "cosigned-backwards", BOTH)
def a_witness_goes_back_in_its_next_log(w, full):
    return witnessed(w, full, 50)


def witnessed(w, full, size):
    ls = w.logs()
    saw = lambda log, n: log.add("witness.cosigned", {
        "event": "cosigned", "origin": ls[0].origin, "size": n, "root": hexed(str(n).encode())})
    saw(ls[2], 100)
    charter, new = second_log(w, ls[2])
    saw(new, size)
    return w.bundle([*ls, new], charters=[charter], full=full)


@story("INCOMPLETE")
def one_release(w, full):
    ls = w.logs()
    allowed, note = released(w, ls[2], ls[:2])
    return w.bundle(ls, statements=[allowed], notes=[note])


def again_in_the_next_log(w, attempt):
    ls = w.logs()
    first = released(w, ls[2], ls[:2])
    charter, new = second_log(w, ls[2])
    for log in ls[:2]:
        w.accept(log, charter)
    new.ts = max(log.ts for log in (*ls, new)) + 1000
    second = released(w, new, ls[:2], attempt, charter)
    statements, notes = zip(first, second)
    return w.bundle([*ls, new], charters=[charter], statements=statements, notes=notes)


@story("INCOMPLETE")
def a_second_attempt_in_the_next_log(w, full):
    return again_in_the_next_log(w, 2)


@story("VIOLATION", "attempt")
def a_first_attempt_twice(w, full):
    return again_in_the_next_log(w, 1)


def of_two_generations(w, who):
    """Seats 4 and 5 join; an item of the second generation is delivered by seat 3, cosigned by these."""
    def joined(body):
        for index in (4, 5):
            seat = copy.deepcopy(w.seat(1))
            public = bytearray(base64_of(seat["sealing"]["public"]))
            public[-1] ^= index
            seat["sealing"]["public"] = b64(bytes(public))
            seat.update(index=index, name=f"s{index}", operator=f"party {index}", url=f"https://s{index}:1",
                        tls_pin=hexed(b"%d" % index), log_origin=f"{w.org}/{index}/log", operators=[f"op{index}"],
                        **{k: Key(f"{n} {index}").text for k, n in
                           (("statement_key", "seat"), ("log_key", "log"), ("witness_key", "witness"))})
            body["seats"].append(seat)
            body["people"].append({
                "id": f"op{index}", "name": f"Op {index}", "roles": [], "keys": [], "sealing": None, "subject": "no_subject"})
        body["generations"].append({"number": 2, "t": 2, "members": [3, 4, 5]})
    charter, ls = w.successor(w.genesis, joined), w.logs()
    for log in ls:
        w.accept(log, charter)
        log.add("node.ready", {"event": "ready", "peers": [4, 5]})
    allowed = permit(w, 4, ls[2].ts + 500, under=charter)
    authorized = authorise(ls[2], [allowed.digest])
    ls[2].witnesses = [w.witness(seat, ls[2].ts // 1000) for seat in who]
    note, ls[2].witnesses = ls[2].note(), ()
    deliver(w, ls[2], authorized, note)
    return w.bundle(ls, charters=[charter], statements=[allowed], notes=[note])


@story("INCOMPLETE")
def a_release_of_the_second_generation(w, full):
    return of_two_generations(w, (4,))


@story("VIOLATION", "cosignatures")
def a_release_that_nobody_cosigned(w, full):
    return of_two_generations(w, ())


@story("MISBEHAVIOUR", "fork")
def a_seat_of_no_generation_delivers_on_a_forked_note(w, full):
    charter = w.successor(w.genesis, lambda body: body.update(generations=[{"number": 2, "t": 2, "members": [1, 2]}]))
    ls = w.logs()
    for log in ls:
        w.accept(log, charter)
    allowed = permit(w, 1, ls[2].ts + 500, under=charter)
    ls[0].add("verdict", {"event": "statement"}, allowed.names, ls[2].ts + 500)
    authorized = authorise(ls[2], [allowed.digest])
    note = signed(f"{ls[2].origin}\n{len(ls[2].rows)}\n{b64(sha(b'another'))}\n", ls[2].origin, ls[2].key)
    deliver(w, ls[2], authorized, note)
    return w.bundle(ls, charters=[charter], statements=[allowed], notes=[note])


def with_a_fresh_key(w):
    charter = w.successor(w.genesis, lambda body: w.seat(1, body).update(statement_key=Key("fresh").text))
    ls = w.logs()
    for log in ls:
        w.accept(log, charter)
    return charter, ls


@story("INCOMPLETE", "unresolved")
def a_permit_by_a_replaced_key(w, full):
    charter, ls = with_a_fresh_key(w)
    allowed = permit(w, 1, ls[2].ts + 500, under=charter)
    authorized = authorise(ls[2], [allowed.digest])
    ls[2].add("release.aborted", {
        "event": "aborted", "authorized": authorized, "reason": "restart", "request": hexed(b"request")})
    # Nor is it missed in the log of the seat that did not sign it.
    clock(ls[0], 5)
    ls[0].add("clock.anomaly", {"event": "clock", "by_ms": 5}, at=ls[2].ts + 99_000)
    return w.bundle(ls, charters=[charter], statements=[allowed])


@story("VIOLATION", "wrong-signer")
def an_own_verdict_by_a_replaced_key(w, full):
    charter, ls = with_a_fresh_key(w)
    verdict = permit(w, 1, ls[0].ts + 1000, under=charter)
    ls[0].say(verdict)
    return w.bundle(ls, charters=[charter], statements=[verdict])


@story("TAMPERED", "checkpoint")
def a_cosignature_beyond_all_time(w, full):
    ls = w.logs()
    ls[1].witnesses = [w.witness(1, 2**63)]
    return w.bundle(ls)


@story("INCOMPLETE", "cosigned-future")
def a_cosignature_at_the_end_of_time(w, full):
    ls = w.logs()
    ls[1].witnesses = [w.witness(1, 2**63 - 1)]
    return w.bundle(ls)


def viewed(w, note):
    ls, at_ = w.logs(), START + 9_000
    view = w.statement("view", [Key("seat 1")], seat=1, log=ls[1].origin, note=note(ls[1]).decode(), export=EXPORT, at=time(at_))
    return w.bundle(ls, views=[(1, 2, view, at_)])


@story("INCOMPLETE")
def a_view_with_a_strangers_line(w, full):
    return viewed(w, lambda log: log.note() + "\u2014 a\u00adb AAAAAAAA\n".encode())


@story("VIOLATION", "view-note")
def a_view_with_a_space_in_a_name(w, full):
    return viewed(w, lambda log: log.note() + "\u2014 a\u00a0b AAAAAAAA\n".encode())


@story("INCOMPLETE")
def a_view_of_nothing(w, full):
    return viewed(w, lambda log: signed(f"{log.origin}\n0\n{b64(sha(b''))}\n", log.origin, log.key))


@story("VIOLATION", "view-note")
def a_view_of_size_0_with_another_root(w, full):
    return viewed(w, lambda log: signed(f"{log.origin}\n0\n{b64(sha(b'x'))}\n", log.origin, log.key))


@story("VIOLATION", "record", FULL)
def a_view_in_a_log(w, full):
    ls = w.logs()
    view = w.statement("view", [Key("seat 1")], seat=1, log=ls[1].origin, note=ls[1].note().decode(), export=EXPORT, at=time(START))
    ls[0].add("deposit", {"event": "statement"}, view.names)
    return w.bundle(ls, statements=[view], full=True)

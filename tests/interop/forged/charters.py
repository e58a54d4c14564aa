"""Charter versions, branches and logs that follow each other."""
import copy

from forge import hexed, Key, time

from .told import FULL, GONE, story


def chain(w, *charters):
    return w.bundle(w.logs(), charters=charters)


@story("INCOMPLETE")
def three_versions(w, full):
    second = w.successor(w.genesis)
    return chain(w, second, w.successor(second))


@story("MISBEHAVIOUR", "charter-fork")
def three_heirs_of_which_one_is_void(w, full):
    heirs = [w.successor(w.genesis) for _ in range(3)]
    return chain(w, *heirs, w.successor(heirs[0], lambda body: body.update(voided=[heirs[2].digest])))


@story("INCOMPLETE")
def two_heirs_of_which_one_is_void(w, full):
    heirs = [w.successor(w.genesis) for _ in range(2)]
    return chain(w, *heirs, w.successor(heirs[0], lambda body: body.update(voided=[heirs[1].digest])))


def next_log(w, origin, key):
    def change(body):
        w.seat(3, body).update(log_origin=origin, log_key=Key(key).text, previous_log_head=hexed(key.encode()))
    return change


@story("TAMPERED", "unreferenced")
def an_origin_used_again(w, full):
    first = w.seat(3)["log_origin"]
    second = w.successor(w.genesis, next_log(w, f"{first}/2", "b"))
    return chain(w, second, w.successor(second, next_log(w, first, "c")))


@story("INCOMPLETE")
def a_third_log(w, full):
    first = w.seat(3)["log_origin"]
    second = w.successor(w.genesis, next_log(w, f"{first}/2", "b"))
    return chain(w, second, w.successor(second, next_log(w, f"{first}/3", "c")))


def without_3(body):
    body["seats"] = [s for s in body["seats"] if s["index"] != 3]
    body["generations"] = [*body["generations"], {"number": 2, "t": 2, "members": [1, 2]}]


@story("TAMPERED", "unreferenced")
def back_to_a_replaced_log_over_a_gap(w, full):
    old = copy.deepcopy(w.seat(3))
    second = w.successor(w.genesis, next_log(w, f"{old['log_origin']}/2", "b"))
    third = w.successor(second, without_3)
    return chain(w, second, third, w.successor(third, lambda body: body["seats"].append(old)))


@story("INCOMPLETE")
def back_to_the_newest_log_over_a_gap(w, full):
    second = w.successor(w.genesis, without_3)
    return chain(w, second, w.successor(second, lambda body: body["seats"].append(copy.deepcopy(w.seat(3)))))


@story("TAMPERED", "unreferenced")
def back_to_the_newest_log_with_another_key(w, full):
    seat = copy.deepcopy(w.seat(3)) | {"log_key": Key("another").text}
    second = w.successor(w.genesis, without_3)
    return chain(w, second, w.successor(second, lambda body: body["seats"].append(seat)))


@story("INCOMPLETE")
def back_with_a_new_log(w, full):
    seat = copy.deepcopy(w.seat(3))
    seat.update(log_origin=f"{seat['log_origin']}/9", log_key=Key("log 9").text, previous_log_head=GONE[0])
    second = w.successor(w.genesis, without_3)
    return chain(w, second, w.successor(second, lambda body: body["seats"].append(seat)))


@story("TAMPERED", "unreferenced")
def a_dropped_generation_listed_again(w, full):
    three = [{"number": 2, "t": 2, "members": [1, 2, 3]}]
    second = w.successor(w.genesis, lambda body: body.update(generations=three))
    again = lambda body: body.update(generations=w.charter["generations"] + three)
    return chain(w, second, w.successor(second, again))


@story("TAMPERED", "unreferenced")
def a_version_that_a_seat_signed_too(w, full):
    return chain(w, w.successor(w.genesis, signers=[Key("seat 1")]))


def at(*urls):
    def change(body):
        for seat, url in zip(body["seats"], urls):
            seat["url"] = url
    return change


@story("TAMPERED", "unreferenced")
def two_seats_at_one_port(w, full):
    return chain(w, w.successor(w.genesis, at("https://s", "https://S:443/")))


@story("INCOMPLETE")
def two_seats_at_two_ports(w, full):
    return chain(w, w.successor(w.genesis, at("https://s", "https://S:444/")))


@story("VIOLATION", "charter-invalid")
def the_version_in_force_accepted_again(w, full):
    ls = w.logs()
    ls[0].add("charter.accepted", {"event": "charter-accepted", "charter": w.genesis.digest})
    return w.bundle(ls)


def two_branches(w, voided):
    a, b = w.successor(w.genesis), w.successor(w.genesis)
    c = w.successor(b, lambda body: body.update(voided=[a.digest] if voided else []))
    ls = w.logs()
    w.accept(ls[0], a)
    ls[0].say(b)
    w.accept(ls[0], c)
    return w.bundle(ls, charters=[a, b, c])


@story("INCOMPLETE")
def the_branch_that_voids_the_one_in_force_is_accepted(w, full):
    return two_branches(w, True)


@story("MISBEHAVIOUR", "charter-fork")
def another_branch_is_accepted(w, full):
    return two_branches(w, False)


def heir_of_the_void(w, reason):
    """The heir of a void version asks nobody to accept it; what the floor then says of a request that nobody knows."""
    a, b = w.successor(w.genesis), w.successor(w.genesis)
    heir = w.successor(a)
    settled = w.successor(b, lambda body: body.update(voided=[a.digest]))
    ls = w.logs()
    w.accept(ls[0], b)
    ls[0].say(a)
    ls[0].say(heir)
    w.accept(ls[0], settled)
    at_ = ls[0].ts + 1000
    verdict = w.statement(
        "verdict", [Key("seat 1")], settled, seat=1, request=GONE[0], outcome="refuse", lacking=[], reasons=[reason], policies=[],
        decisions=[], context=None, decided=time(at_), valid_until=time(at_))
    ls[0].say(verdict)
    return w.bundle(ls, charters=[a, b, heir, settled], statements=[verdict], full=True)


@story("INCOMPLETE", None, FULL)
def the_heir_of_a_void_version_is_void(w, full):
    return heir_of_the_void(w, "request-unknown")


@story("VIOLATION", "verdict-floor", FULL)
def the_heir_of_a_void_version_waits_for_nobody(w, full):
    return heir_of_the_void(w, "charter-unaccepted")

"""How a story is registered, and the parts that several have."""
from escrow_verify import logs

from forge import b64, hexed, Key, Log, START, time

STORIES = []        # (name, full, expected class, a rule that must be found, how it is told)
DAY = 86_400_000
BOTH = ("no-content", "full")
FULL = ("full",)
DECISIONS = sorted(hexed(bytes([n])) for n in (1, 2))
GONE = (hexed(b"a statement"), hexed(b"an envelope"))       # what no bundle has


def story(expected, rule=None, variants=("no-content",)):
    """Registers a story; told in each of the variants."""
    def register(tell):
        for variant in variants:
            name = tell.__name__.replace("_", "-") + ("-full" if variant == "full" else "")
            STORIES.append((name, variant == "full", expected, rule, tell))
        return tell
    return register


def permit(w, seat, at, under=None):
    """A permit as a bundle without content shows it."""
    body = {
        "seat": seat, "request": hexed(b"request"), "outcome": "permit", "lacking": [], "reasons": [], "policies": [],
        "decisions": DECISIONS, "context": None, "decided": time(at), "valid_until": time(at + 30_000)}
    return w.statement("verdict", [Key(f"seat {seat}")], under, **body)


def authorise(log, permits, call=GONE, **change):
    body = {
        "event": "authorized", "request": hexed(b"request"), "decisions": DECISIONS, "answers": [hexed(b"answer")],
        "permits": sorted(permits), **change}
    return log.add("release.authorized", body, call)


def deliver(w, log, authorized, note, attempt=1, release=None, request=None):
    body = {
        "event": "delivered", "authorized": authorized, "note": hexed(note), "request": request or hexed(b"request"),
        "reply": hexed(b"reply"), "attempt": attempt}
    log.add("release.delivered", body, release or (hexed(w.nonce().encode()), hexed(w.nonce().encode())))


def released(w, log, peers, attempt=1, under=None):
    """A release at one log: permitted by the first peer, cosigned by all of them. Answers (permit, note)."""
    allowed = permit(w, peers[0].seat, log.ts + 900, under=under)
    peers[0].add("verdict", {"event": "statement"}, allowed.names, log.ts + 900)
    authorized = authorise(log, [allowed.digest], (hexed(w.nonce().encode()), hexed(w.nonce().encode())))
    log.witnesses = [w.witness(p.seat, log.ts // 1000) for p in peers]
    (size, root), note = log.head(), log.note()
    log.witnesses = ()
    for peer in peers:
        peer.add("witness.cosigned", {"event": "cosigned", "origin": log.origin, "size": size, "root": root.hex()}, at=log.ts)
    deliver(w, log, authorized, note, attempt)
    return allowed, note


def clock(log, by_ms=0):
    """An act that is wrong by itself, to see that judgement came so far."""
    log.add("clock.anomaly", {"event": "clock", "by_ms": by_ms})


def enrolled(w, log, signers=None):
    """A device of a subject, enrolled by the registrars in this log. Answers (enrolment, subject)."""
    subject = "v1:" + hexed(b"subject")
    raw = bytearray(base64_of(w.seat(1)["sealing"]["public"]))
    raw[-1] ^= 0x55
    sealing = w.seat(1)["sealing"] | {"public": b64(bytes(raw))}
    device = {"subject": subject, "key": Key("device").text, "sealing": sealing}
    enrolment = w.statement("enrolment", signers or w.with_role("registrar"), devices=[device],
                            **{"from": time(START - DAY), "until": time(START + DAY)})
    log.say(enrolment)
    return enrolment, subject


def base64_of(text):
    return logs.strict.blob(text)


def second_log(w, log, charter=None):
    """The charter that gives seat 3 a next log, and that log, which goes on from the whole of the old one."""
    text, (size, root) = log.text(), log.head()

    def moved(body):
        w.seat(3, body).update(log_origin=f"{log.origin}/2", log_key=Key("log 3 again").text,
                               previous_log_head=hexed(text.encode()))
    charter = w.successor(w.genesis, moved)
    new = Log(f"{log.origin}/2", 3, 2, Key("log 3 again"), log.ts)
    new.add("log.continued", {"event": "continued", "log": log.origin, "root": root.hex(), "seat": 3, "size": size})
    w.accept(new, charter)
    w.ready(new)
    return charter, new

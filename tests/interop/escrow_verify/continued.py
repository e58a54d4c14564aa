"""Sections 18.1 and 21: a seat with several logs. A later one goes on from the beginning of the one before."""
import copy

from . import logs
from .keys import hexdigest, sha256
from .strict import Bad

EMPTY = sha256(b"")


def told(log):
    """What the first entry says that this log goes on from, or None."""
    try:
        return logs.BODIES["log.continued"](log.entries[0].body)
    except (Bad, IndexError):
        return None


def cut(evidence, log):
    """How many entries of this log a later one of the seat goes on from, or None."""
    later = (told(x) for x in evidence.logs if x.seat == log.seat and x.number > log.number)
    return next((t["size"] for t in later if t and t["log"] == log.origin), None)


def before(evidence, judges, log, report):
    """The facts that a later log begins with (a copy), False for none, or None if it cannot be judged."""
    if log.number == 1:
        return False

    def no(kind, rule, detail):
        report.add(kind, rule, log.path, detail, 0, log.seat)
    t = told(log)
    if t is None:
        return no("VIOLATION", "continued", "does not begin by saying what it goes on from")
    origins = evidence.origins(log.seat)
    number = origins.index(t["log"]) + 1 if t["log"] in origins else None
    between = any(x.seat == log.seat and number and number < x.number < log.number for x in evidence.logs)
    if t["seat"] != log.seat or number is None or number >= log.number or between:
        return no("VIOLATION", "continued", "goes on from what is not this seat's log before it")
    old = next((j for j in judges if j.log.seat == log.seat and j.log.origin == t["log"]), None)
    if old is None:
        if t["size"] == 0 and number == 1 and bytes.fromhex(t["root"]) == EMPTY:
            return False
        return no("INCOMPLETE", "log-missing", f"{t['log']} is not there")
    if t["size"] > old.log.tree.size:
        return no("INCOMPLETE", "log-short", f"{t['log']} is not there up to {t['size']}")
    if old.log.tree.root(t["size"]).hex() != t["root"]:
        return no("VIOLATION", "continued", "goes on from another root")
    if old.carry is None:
        return no("INCOMPLETE", "unresolved", f"{t['log']} could not be judged up to {t['size']}")
    facts = copy.deepcopy(old.carry)
    facts.open = {}
    return facts


def lost(judges, seat, at):
    """True if what the seat did then is not in its logs because it was lost with entries not carried on."""
    for new in (j.log for j in judges if j.log.seat == seat):
        t = told(new)
        if t is None:
            continue
        old = next((j.log for j in judges if j.log.seat == seat and j.log.origin == t["log"]), None)
        kept = old.entries[t["size"] - 1].ts if old and 1 <= t["size"] <= len(old.entries) else None
        if (kept is None or kept <= at) and at <= new.entries[0].ts:
            return True
    return False


def heads(evidence, judges, report):
    """The head that a charter names as an old log's last was seen by somebody here."""
    for log in evidence.logs:
        t = told(log) if log.number > 1 else None
        named = [c.seats[log.seat]["previous_log_head"] for c in evidence.charters.values()
                 if log.seat in c.seats and c.seats[log.seat]["log_origin"] == log.origin]
        if t is None or not named or named[0] is None:
            continue
        seen = {(size, root) for j in judges for _, origin, size, root in j.cosigned if origin == t["log"]}
        old = next((x for x in evidence.logs if x.origin == t["log"]), None)
        if old:
            seen |= {(n, old.tree.root(n)) for n in range(old.tree.size + 1)}
        text = lambda size, root: f"{t['log']}\n{size}\n{logs.base64_of(root)}\n".encode()
        known = {hexdigest(text(*head)): head[0] for head in seen}
        if named[0] not in known:
            report.add("INCOMPLETE", "previous-head", "data/bundle.json", f"nobody saw the last head of {t['log']}", seat=log.seat)
        elif known[named[0]] > t["size"]:
            report.add("OK", "log-lost", log.path, f"entries {t['size']} to {known[named[0]] - 1} were lost", 0, log.seat)

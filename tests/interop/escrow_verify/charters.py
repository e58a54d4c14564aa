"""Section 13: what makes a charter version valid, alone and as a successor. Policies are not parsed: that is Cedar's part."""
from .keys import hexdigest, labelled
from .strict import Bad

MAXIMA = {
    "request_life_s": 366 * 86_400, "items_per_request": 10_000, "requests_per_requestor_month": 1_000_000,
    "items_per_requestor_month": 1_000_000_000, "permit_life_s": 60, "notice_delay_days": 366,
    "recovery_delay_s": 366 * 86_400, "clock_skew_s": 3_600, "charter_grace_s": 90 * 86_400, "sealing_key_days": 3_660}
NO_APPROVER = {"admin", "registrar", "requestor", "filter-team"}


def address(url):
    """A seat's URL as it is compared."""
    return url.rstrip("/").lower().removesuffix(":443")


def unique(values):
    values = list(values)
    return len(set(values)) == len(values)


def _seats(c):
    seats, people = c["seats"], {p["id"] for p in c["people"]}
    yield 1 <= len(seats) <= 255, "1 to 255 seats"
    yield unique(s["index"] for s in seats), "seat indices unique"
    yield unique(address(s["url"]) for s in seats), "seat URLs unique"
    yield unique(s["log_origin"] for s in seats), "log origins unique"
    yield unique(s["tls_pin"] for s in seats), "TLS pins unique"
    for s in seats:
        yield s["url"].startswith("https://") and len(s["url"].encode()) <= 256, "a seat's URL"
        origin = s["log_origin"]
        yield 1 <= len(origin) <= 200 and all("!" <= x <= "~" and x != "+" for x in origin), "a log origin"
        yield s["log_key"].method == s["witness_key"].method == "ed25519", "log and witness keys are ed25519"
        yield s["statement_key"].method != "sshsig", "a statement key is not sshsig"
        yield s["sealing"].usable(), "a seat's sealing key"
        yield s["operators"] and unique(s["operators"]) and set(s["operators"]) <= people, "a seat's operators are people"
    if not c["demo"]:
        yield unique(s["operator"].lower() for s in seats), "one party operates two seats"
        yield unique(o for s in seats for o in set(s["operators"])), "one person operates two seats"


def _generations(c):
    seats = {s["index"] for s in c["seats"]}
    numbers = [g["number"] for g in c["generations"]]
    yield numbers and numbers[0] >= 1, "at least one generation, from 1"
    yield all(a < b for a, b in zip(numbers, numbers[1:])), "generation numbers ascend"
    for g in c["generations"]:
        t, members = g["t"], g["members"]
        yield 2 <= t <= len(members) <= 2 * t - 1, "t <= n <= 2t-1"
        yield all(a < b for a, b in zip(members, members[1:])), "members ascend"
        yield len(seats & set(members)) >= t, "at least t members are seats"
    if numbers:
        yield set(c["generations"][-1]["members"]) <= seats, "all members of the current generation are seats"


def _people(c):
    people = c["people"]
    yield 1 <= len(people) <= 2000, "1 to 2000 people"
    yield unique(p["id"] for p in people), "ids unique"
    yield unique(p["name"].strip().lower() for p in people), "names unique"
    raw = [k["key"].raw for p in people for k in p["keys"]]
    raw += [s[k].raw for s in c["seats"] for k in ("statement_key", "log_key", "witness_key")]
    yield unique(raw), "raw public keys unique"
    yield unique(p["sealing"].digest for p in people if p["sealing"]), "sealing keys unique"
    tokens = []
    for p in people:
        yield p["name"].strip() and len(p["name"].encode()) <= 128, "a name of 1 to 128 bytes"
        yield unique(p["roles"]), "roles unique"
        yield p["keys"] or not p["roles"], "roles need a key"
        yield all(k["from"] < k["until"] for k in p["keys"]), "a key's window"
        yield p["sealing"] is None or p["sealing"].usable(), "a person's sealing key"
        if p["subject"][0] == "tokens":
            versions = [v for v, _ in p["subject"][1]]
            yield sorted(versions) == sorted(c["token_versions"]), "one token for every version"
            tokens += p["subject"][1]
    yield unique(tokens), "no token of two people"


def _rest(c):
    least = 1 if c["demo"] else 2
    for role in ("admin", "registrar"):
        quorum = c[f"{role}_quorum"]
        yield quorum >= least and sum(role in p["roles"] for p in c["people"]) >= quorum, f"{role} quorum"
    approvers = c["approver_roles"]
    yield approvers and unique(approvers) and not NO_APPROVER & set(approvers), "approver roles"
    yield 1 <= len(c["controllers"]) <= 16 and unique(p["id"] for p in c["controllers"]), "controllers"
    yield unique(b["basis"] for b in c["basis_signers"]), "a basis at most once"
    for b in c["basis_signers"]:
        yield b["basis"] != "consent" and b["roles"] and unique(b["roles"]), "basis signers"
    for name, most in MAXIMA.items():
        yield (86_400 if name == "recovery_delay_s" else 1) <= c["limits"][name] <= most, f"limit {name}"
    versions = c["token_versions"]
    yield versions and versions[0] >= 1 and all(a < b for a, b in zip(versions, versions[1:])), "token versions"
    yield c["policies"] and unique(p["id"] for p in c["policies"]), "policies"
    for p in c["policies"]:
        yield p["schema"] == 1 and len(p["text"].encode()) <= 32_768, "a policy's schema or length"


def check_alone(c):
    for part in (_seats, _generations, _people, _rest):
        for holds, rule in part(c):
            if not holds:
                raise Bad(rule)


def check_successor(before, digest_before, c, logs):
    """`logs`: all logs of the chain before, by origin: (seat, key, first version)."""
    def need(holds, rule):
        if not holds:
            raise Bad(rule)
    need(c["version"] == before["version"] + 1 and c["previous"] == digest_before, "version or previous")
    need(c["org"] == before["org"] and c["demo"] == before["demo"], "org or demo changed")
    need(c["issued"] >= before["issued"], "issued earlier than the version before")
    known = {g["number"]: (g["t"], g["members"]) for g in before["generations"]}
    for g in c["generations"]:
        if g["number"] in known:
            need(known[g["number"]] == (g["t"], g["members"]), "a known generation changed")
        else:
            need(g["number"] > max(known), "a new generation's number")
    need(c["generations"][-1]["number"] >= before["generations"][-1]["number"], "the current generation went back")
    seats = {s["index"]: s for s in before["seats"]}
    for s in c["seats"]:
        old = seats.get(s["index"])
        if old:
            changed = old["log_key"] != s["log_key"]
            need(changed == (old["log_origin"] != s["log_origin"]), "log key and origin change together")
            need(changed == (old["previous_log_head"] != s["previous_log_head"]), "previous_log_head")
        if s["log_origin"] in logs:
            seat, key, since = logs[s["log_origin"]]
            need((seat, key) == (s["index"], s["log_key"]), "the origin was another log's")
            need(all(of != seat or later <= since for of, _, later in logs.values()), "back to a log that was replaced")


class Charter:
    """One charter version with its envelope; `body` by section 4.1."""

    def __init__(self, envelope):
        self.envelope, self.body, self.digest = envelope, envelope.body, envelope.digest
        self.version, self.previous = self.body["version"], self.body["previous"]
        self.people = {p["id"]: p for p in self.body["people"]}
        self.seats = {s["index"]: s for s in self.body["seats"]}
        self.holders = {k["key"]: (p, k) for p in self.body["people"] for k in p["keys"]}
        self.generations = {g["number"]: g for g in self.body["generations"]}
        self.current = self.body["generations"][-1] if self.body["generations"] else None
        self.limits = self.body["limits"]
        self.policies = {
            p["id"]: hexdigest(labelled("escrow/v1/policy", p["schema"], p["text"])) for p in self.body["policies"]}

    def keys(self):
        return [*self.holders, *(s["statement_key"] for s in self.body["seats"])]

    def quorum(self, role, keys, at, revoked=frozenset()):
        """How many distinct people with the role made these signatures, with keys valid at `at` and not revoked."""
        people = set()
        for k in keys:
            person, window = self.holders.get(k, (None, None))
            if person and role in person["roles"] and window["from"] <= at < window["until"] and k.raw not in revoked:
                people.add(person["id"])
        return len(people)

    def admins_signed(self, keys, revoked=frozenset()):
        return self.quorum("admin", keys, self.body["issued"], revoked) >= self.body["admin_quorum"]

    def member_of(self, generation, seat):
        return seat in self.generations.get(generation, {"members": ()})["members"]


def check_charter(charter, signers, before, chain, revoked=frozenset()):
    """Raises Bad unless the version is valid after `before` (None: genesis); `chain`: the versions back from `before`."""
    check_alone(charter.body)
    if before is None:
        if charter.previous is not None:
            raise Bad("the genesis has a predecessor")
    else:
        logs = {}
        for c in reversed(chain):
            for s in c.body["seats"]:
                logs.setdefault(s["log_origin"], (s["index"], s["log_key"], c.version))
        check_successor(before.body, before.digest, charter.body, logs)
        if before.quorum("admin", signers, charter.body["issued"], revoked) < before.body["admin_quorum"]:
            raise Bad("no admin quorum of the version before")
    if not charter.admins_signed(signers, revoked):
        raise Bad("no admin quorum of itself")

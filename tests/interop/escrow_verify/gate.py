"""Section 16 without Cedar: the hard floor, approvals counted, and the exact bytes of the policy context."""
import json

from .facts import DAY, Refused, need
from .statements import BASES


def overlap(a, b):
    return a["from"] < b["to"] and b["from"] < a["to"]


def covers(consent, about):
    """True if a consent covers an item's thread, time and epoch."""
    where, threads = consent["coverage"]
    epochs = consent["epochs"]
    return ((where == "workspace" or about["thread"] in threads)
            and consent["from"] <= about["from"] and about["to"] <= consent["to"]
            and (epochs is None or epochs["first"] <= about["epoch"] <= epochs["last"]))


def selection_holds(chosen, items):
    """True if the items are those that the request says were chosen, and none of a thread of which only context is asked."""
    taking_part = [{i["depositor"]} | {p["token"] for p in i["about"]["participants"]} for i in items]
    named, epochs = set(chosen["custodians"]), chosen["epochs"]
    asked = {i["about"]["thread"] for i in items if overlap(i["about"], chosen)}
    return ((not named or all(named & of for of in taking_part))
            and all(any(t in of for of in taking_part) for t in named)
            and all(epochs is None or epochs["first"] <= i["about"]["epoch"] <= epochs["last"] for i in items)
            and asked == {i["about"]["thread"] for i in items})


def within_limits(charter, body, recovery):
    limits = charter.limits
    need(len(body["items"]) <= limits["items_per_request"], "request-limits")
    need(body["expires"] - body["created"] <= limits["request_life_s"] * 1000, "request-limits")
    if not recovery:
        how, notice = body["notice"]
        if how == "delayed":
            need(notice["until"] <= body["created"] + limits["notice_delay_days"] * DAY, "notice-delay")


def _person_now(facts, charter, person, role, key, logged):
    p = charter.people.get(person)
    need(p is not None and role in p["roles"], "not-entitled")
    window = facts.person_key(charter, person, key)
    need(window is not None and window["from"] <= logged < window["until"], "key-not-valid")
    need(key.raw not in facts.revoked_raw, "key-revoked")


def _floor_request(facts, asked, at):
    body, charter = asked.body, facts.charter
    need(body["by"] not in facts.cancellations.get(asked.digest, ()), "request-cancelled")
    need(at < body["expires"], "request-expired")
    within_limits(charter, body, False)
    need(not facts.denied(asked.digest), "denied")
    need(facts.was_in_force(body["charter"]), "charter-unknown")
    _person_now(facts, charter, body["by"], "requestor", asked.key, asked.logged)
    need(all(body["by"] not in s["operators"] for s in charter.seats.values()), "requestor-operates-seat")
    head = facts.matter_head(body["matter"])
    need(head is not None, "matter-unknown")
    need(head[1]["action"] != "close", "matter-closed")
    need(all(i in facts.items for i in body["items"]), "item-unknown")
    items = facts.request_items(asked)
    need(len({i["generation"] for i in items}) == 1, "mixed-generations")
    scope = body["scope"]
    need({i["about"]["thread"] for i in items} == set(scope["threads"]), "item-scope")
    need(body["selection"] is None or selection_holds(body["selection"], items), "item-scope")
    for i in items:
        need(overlap(i["about"], scope), "item-scope")
        facts.consent_live(i["consent"], at)
        consent = facts.consents[i["consent"]]
        need(body["purpose"] in consent["purposes"], "consent-scope")
        need(body["basis"] != "consent" or consent["basis"] == "consent", "consent-scope")
        need(body["policy"] in {p["id"] for p in i["policies"]}, "policy-not-agreed")
    need(not facts.in_scope(charter, body["by"], asked), "requestor-in-scope")
    kind, to = body["recipient"]
    subjects = facts.subjects(asked)
    if kind == "device":
        enrolled = facts.enrolled(to["enrolment"], to["key"])
        need(enrolled in facts.live(to["key"], at) and enrolled["sealing"].digest == to["sealing"], "recipient-key")
        need(enrolled["subject"][0] in charter.body["token_versions"], "recipient-key")
    else:
        p = charter.people.get(to["id"])
        need(p is not None and p["sealing"] is not None and p["sealing"].digest == to["sealing"], "recipient-key")
    if kind == "filter_team":
        need("filter-team" in p["roles"], "not-entitled")
        need(to["id"] != body["by"] and to["id"] not in facts.on_case(body["matter"]), "filter-team-on-case")
    if kind == "device":
        token = enrolled["subject"]
        need(token not in subjects and all(token[0] == v for v, _ in subjects), "recipient-in-scope")
        receiver = facts.person_of_device(to["enrolment"], to["key"], charter)
    else:
        receiver = to["id"]
        need(not facts.in_scope(charter, receiver, asked), "recipient-in-scope")
    screened = facts.was_filter_team(body["matter"], body["items"], asked.digest)
    need(body["by"] not in screened, "filter-team-on-case")
    need(kind == "filter_team" or receiver not in screened, "filter-team-on-case")


def _floor_recovery(facts, asked, at):
    body, charter = asked.body, facts.charter
    need(not facts.counting_vetoes(asked.digest), "recovery-vetoed")
    need(at < body["expires"], "request-expired")
    within_limits(charter, body, True)
    need(not facts.denied(asked.digest), "denied")
    need(facts.was_in_force(body["charter"]), "charter-unknown")
    enrolled = facts.enrolled(body["enrolment"], body["key"])
    need(enrolled is not None and enrolled in facts.live(body["key"], at) and enrolled["subject"] == body["subject"],
         "not-enrolled")
    need(enrolled["sealing"].digest == body["sealing"], "recipient-key")
    delay = charter.limits["recovery_delay_s"]
    since = max(enrolled["logged"], enrolled["from"])
    need(delay >= 86_400 and (at - since) // 1000 >= delay, "recovery-delay")
    for name in body["items"]:
        need(name in facts.items, "item-unknown")
        item = facts.items[name]
        need(item["depositor"] == body["subject"], "recovery-not-own")
        facts.consent_live(item["consent"], at)
        need(body["policy"] in {p["id"] for p in item["policies"]}, "policy-not-agreed")
    need(len({i["generation"] for i in facts.request_items(asked)}) == 1, "mixed-generations")


def floor(facts, request, at):
    """Raises Refused with the code of the first broken rule of the hard floor."""
    trouble = facts.charter_trouble()
    need(trouble is None, trouble)
    asked = facts.asked.get(request)
    need(asked is not None, "request-unknown")
    (_floor_recovery if asked.recovery else _floor_request)(facts, asked, at)
    return asked


def excluded(facts, asked, person, charter):
    """True for whoever may not approve this."""
    if facts.in_scope(charter, person, asked):
        return True
    if asked.recovery:
        p = charter.people.get(person)
        own = p and p["subject"][0] == "tokens" and asked.body["subject"] in p["subject"][1]
        return bool(own) or person in facts.enrolment_signers(asked.body["key"])
    body = asked.body
    return (person in (body["by"], facts.recipient_person(asked, charter))
            or person in facts.was_filter_team(body["matter"], body["items"], asked.digest))


def approvals(facts, asked):
    """The decisions counted, one a person: person -> decision."""
    counted, now = {}, facts.charter
    for d in facts.decisions.get(asked.digest, ()):
        body, key = d["body"], d["key"]
        who, role = body["by"], body["role"]
        if body["choice"] != "approve" or facts.strongest(asked.digest, who) != "approve":
            continue
        named = facts.named(body["charter"])
        if named is None or any(role not in c.body["approver_roles"] or role not in c.people.get(who, {"roles": ()})["roles"]
                                for c in (now, named)):
            continue
        window = facts.person_key(now, who, key)
        if window is None or not window["from"] <= d["logged"] < window["until"] or key.raw in facts.revoked_raw:
            continue
        if excluded(facts, asked, who, now):
            continue
        if who not in counted or (body["at"], d["digest"]) < (counted[who]["body"]["at"], counted[who]["digest"]):
            counted[who] = d
    return counted


def ceil_days(millis):
    return -(-millis // DAY)


def _consents(facts, asked, at):
    """Distinct participants other than the depositors: consented, informed, outside."""
    items, body = facts.request_items(asked), asked.body
    depositors = {i["depositor"] for i in items}
    pairs = {(p["token"], p["inside"]) for i in items for p in i["about"]["participants"]}
    out = {"consented": 0, "informed": 0, "outside": 0}
    for token, inside in pairs:
        if token in depositors:
            continue
        if not inside:
            out["outside"] += 1
            continue
        theirs = [i["about"] for i in items if token in {p["token"] for p in i["about"]["participants"]}]
        own = [c for d, c in facts.consents.items()
               if c["subject"] == token and c["basis"] == "consent" and body["purpose"] in c["purposes"]
               and not facts.withdrawn(d) and at < c["expires"]]
        agreed = all(any(covers(c, a) for c in own) for a in theirs)
        out["consented" if agreed else "informed"] += 1
    return out


def context(facts, asked, at):
    """The compact JSON bytes of section 16.3."""
    body, items, charter = asked.body, facts.request_items(asked), facts.charter
    counted = approvals(facts, asked)
    roles = [d["body"]["role"] for d in counted.values()]
    others = [a for a in facts.asked.values() if a.digest != asked.digest and set(a.body["items"]) & set(body["items"])
              and (a.recovery or not asked.recovery)]
    denials = sum(facts.denied(a.digest) or bool(facts.counting_vetoes(a.digest)) for a in others)
    shared = {
        "approvals": {r: roles.count(r) for r in sorted(charter.body["approver_roles"])},
        "approvers": len(counted),
        "earlier_denials": denials,
        "earlier_releases": sum(a.delivered > 0 for a in others),
        "hold": False,
        "items": len(body["items"]),
        "waited_seconds": max(0, at - asked.logged) // 1000,
    }
    if asked.recovery:
        enrolled = facts.enrolled(body["enrolment"], body["key"])
        age = max(0, (asked.logged - max(enrolled["logged"], enrolled["from"])) // 1000)
        others = {k for k, es in facts.devices.items() for e in es
                  if e["subject"] == body["subject"] and k != body["key"] and at < e["until"]
                  and k.raw not in facts.revoked_raw and e["digest"] not in facts.revoked_enrolments}
        shared |= {
            "device_age_seconds": age + shared["waited_seconds"],
            "other_devices": len(others),
            "threads": len({i["about"]["thread"] for i in items}),
        }
    else:
        bases = {facts.consents[i["consent"]]["basis"] for i in items}
        how, notice = body["notice"]
        kind, to = body["recipient"]
        shared |= {
            "authority": body["authority"] is not None,
            "basis": body["basis"],
            "consent_bases": [b for b in BASES if b in bases],
            "consents": _consents(facts, asked, at),
            "depositor_consent": "live",
            "matter": body["matter"],
            "notice": how,
            "notice_days": max(0, ceil_days(notice["until"] - body["created"])) if notice else 0,
            "purpose": body["purpose"],
            "recipient": kind.replace("_", "-"),
            "recipient_is_requestor": facts.recipient_person(asked, charter) == body["by"],
            "requestor": body["by"],
            "span_days": ceil_days(body["scope"]["to"] - body["scope"]["from"]),
            "threads": len(body["scope"]["threads"]),
        }
    return json.dumps(dict(sorted(shared.items())), separators=(",", ":"), ensure_ascii=False).encode()


def could_permit(facts, request, at):
    """The floor, and two approvers: what no policy can give. Raises Refused; answers (asked, approvals)."""
    asked = floor(facts, request, at)
    counted = approvals(facts, asked)
    if len(counted) < 2:
        raise Refused("pending", "fewer than two approvers")
    return asked, counted

"""The whole verification of section 21, but for policy replay."""
from . import continued, package
from .acts import Judge
from .evidence import Evidence
from .form import Form
from .logs import cosigned
from .report import Report
from .strict import Bad


def verify_files(files, pinned):
    """The report about a bundle given as path -> bytes."""
    report = Report(pinned)
    package.check(files, report)
    if report.altered:
        return report
    report.done.append("package")
    evidence = Evidence(files, report)
    if report.altered:
        return report
    report.done.append("bytes")
    judges = []
    for log in evidence.logs:
        judge = (Judge if evidence.full else Form)(evidence, log, report)
        judge.run(judges)
        judges.append(judge)
    if not judges:
        report.add("INCOMPLETE", "no-log", "data/bundle.json", "no log at all")
    for judge in judges:
        judge.permits_logged(judges)
    continued.heads(evidence, judges, report)
    forks(evidence, report)
    if evidence.full:
        report.done.append("acts")
    else:
        report.add("INCOMPLETE", "no-content", "data/bundle.json", "only the form of each log can be seen")
    views(evidence, judges, report)
    report.done.append("views")
    for judge in judges:
        for rule, entry, detail in judge.record:
            judge.violation(rule, entry, detail)
    if evidence.full:
        report.done.append("record")
    count(evidence, judges, report)
    return report


def verify_folder(folder, pinned):
    try:
        files = package.read_folder(folder)
    except package.Unreadable as e:
        report = Report(pinned)
        report.add("MALFORMED", "unreadable", str(folder), e)
        return report
    return verify_files(files, pinned)


def forks(evidence, report):
    """Two valid successors of one charter version."""
    voided = {d for c in evidence.charters.values() for d in c.body["voided"]}
    heirs = {}
    for c in evidence.charters.values():
        if c.previous:
            heirs.setdefault(c.previous, set()).add(c.digest)
    for previous, both in heirs.items():
        if len(both) > 1:
            report.add("OK" if len(both - voided) < 2 else "MISBEHAVIOUR", "charter-fork", "data/charters",
                       f"two successors of {previous}: {', '.join(sorted(both))}")


def views(evidence, judges, report):
    trees = {log.origin: log for log in evidence.logs}
    heads = {}      # origin -> list of (file, head) that the log's key signed
    for log in evidence.logs:
        heads.setdefault(log.origin, []).append((log.path.replace("entries.jsonl", "checkpoint.txt"), log.head))
    for judge in judges:
        for file, head in judge.heads_shown:
            heads.setdefault(head.origin, []).append((file, head))
    good = {}       # origin -> {viewer: size}
    for path, viewer, viewed, e in evidence.views:
        body = e.body
        counts = (body["export"] == evidence.index["export"] and body["charter"] in evidence.charters
                  and body["org"] == evidence.index["org"])
        if not counts:
            report.add("INCOMPLETE", "view-foreign", path, "made for another export, charter or organisation", seat=viewer)
        if body["note"] is None:
            continue
        try:
            head = evidence.signed_head(body["note"].encode(), body["log"])
        except Bad as x:
            report.add("VIOLATION", "view-note", path, x, seat=viewer)
            continue
        heads.setdefault(body["log"], []).append((path, head))
        if counts and viewer != viewed:
            good.setdefault(body["log"], {})[viewer] = (head.size, path)
    for origin, known in heads.items():
        log, beyond = trees.get(origin), {}
        for file, head in known:
            size, root = head.size, head.root
            if log and size <= log.tree.size:
                if log.tree.root(size) != root:
                    report.add("MISBEHAVIOUR", "fork", file, f"{origin} signed two roots of size {size}", seat=log.seat)
                continue
            if log:
                # What a seat lost is no gap of the bundle: its next log says where it went on.
                kind = "INCOMPLETE" if continued.cut(evidence, log) is None else "OK"
                report.add(kind, "log-short", log.path, f"log shorter than cosigned size {size}", seat=log.seat)
            if beyond.setdefault(size, (root, file))[0] != root:
                report.add("MISBEHAVIOUR", "fork", file, f"{origin} signed two roots of size {size}: {beyond[size][1]}")
        witnesses(evidence, judges, origin, known, report)
    for judge in judges:
        for seq, origin, size, root in judge.cosigned:
            log = trees.get(origin)
            if log and size <= log.tree.size and log.tree.root(size) != root:
                report.add("INCOMPLETE", "cosigned-elsewhere", judge.log.path, f"another head of {origin}", seq, judge.log.seat)
    charter = max((j.facts.charter for j in judges if j.facts.charter), key=lambda c: c.version,
                  default=evidence.charters[evidence.pinned])
    members, w = charter.current["members"], charter.current["t"] - 1
    stale(evidence, charter, heads, report)
    for seat in members:
        origin = charter.seats[seat]["log_origin"]
        if all(log.origin != origin for log in evidence.logs):
            report.add("INCOMPLETE", "log-missing", "data/bundle.json", f"no log of seat {seat}", seat=seat)
    for judge in judges:
        log, count_ = judge.log, 0
        # Views are of the newest log of a seat, whose first entry binds the logs before it.
        newest = [j for j in judges if j.log.seat == log.seat][-1]
        last = judge.last_release or 0 if newest is judge else 0
        for viewer, (size, path) in good.get(newest.log.origin, {}).items():
            if viewer not in members:
                continue
            if size > last:
                count_ += 1
            elif newest is judge:
                report.add("OK", "view-old", path, f"of size {size}, before the last release", seat=viewer)
        bound = count_ - (len(members) - 1 - w)
        if bound < 1 and log.seat in members:
            report.add("INCOMPLETE", "views-missing", log.path, f"{count_} views", seat=log.seat)
        report.logs.append({
            "seat": log.seat, "origin": log.origin, "size": log.tree.size, "views": count_, "fork_bound": max(bound, 0)})


def stale(evidence, charter, heads, report):
    """w members cosigned some head here of each one's log at most 20 minutes before the newest time in the evidence."""
    members, w = charter.current["members"], charter.current["t"] - 1
    created, skew = evidence.index["created"] // 1000, charter.limits["clock_skew_s"]
    for seat in members:
        newest = []
        for peer in (p for p in members if p != seat):
            name, key = f"{charter.body['org']}/{peer}/witness", charter.seats[peer]["witness_key"].raw
            times = []
            for file, head in heads.get(charter.seats[seat]["log_origin"], ()):
                try:
                    time = cosigned(head.note, name, key)
                except Bad:
                    continue
                if time is not None and time > created + skew:
                    report.add("INCOMPLETE", "cosigned-future", file, f"{name} cosigned at {time} s", seat=peer)
                elif time is not None:
                    times.append(time)
            newest += [max(times)] if times else []
        newest.sort(reverse=True)
        if len(newest) >= w and newest[w - 1] < created - 1200:
            report.add("INCOMPLETE", "stale", "data/bundle.json", f"the log of seat {seat} was cosigned last long ago", seat=seat)


def witnesses(evidence, judges, origin, heads, report):
    """No witness cosigns two histories of a log, and each has in its own log what it cosigned."""
    log = next((x for x in evidence.logs if x.origin == origin), None)
    on_tree = lambda h: None if log is None or h.size > log.tree.size else log.tree.root(h.size) == h.root
    for name, key, seat in sorted(evidence.witnesses(), key=lambda w: (w[2], w[0])):
        theirs = []
        for file, head in heads:
            try:
                time = cosigned(head.note, name, key.raw)
            except Bad:
                continue
            if time is not None:
                theirs.append((file, head, time))
        for file, a, _ in theirs:
            if any(a.size == b.size and a.root != b.root or on_tree(a) is False and on_tree(b) and b.size >= a.size
                   for _, b, _ in theirs):
                report.add("MISBEHAVIOUR", "cosigned-fork", file, f"{name} cosigned two histories of {origin}", seat=seat)
        for file, head, time in theirs:
            own = [j for j in judges if j.log.seat == seat]
            if any(x[1:] == (origin, head.size, head.root) for j in own for x in j.cosigned):
                continue
            for j in own:
                if j.span and j.span[0] <= time * 1000 + 999 < j.span[1]:
                    report.add("VIOLATION", "cosignature-unlogged", j.log.path,
                               f"{name} cosigned size {head.size} of {origin}, as {file} shows", seat=seat)


def count(evidence, judges, report):
    """The report's counts; requests, self-recoveries and restrictions are distinct ones over all logs."""
    asked = {a.digest: a.recovery for j in judges for a in j.facts.asked.values()}
    asked |= {digest: recovery for j in judges if not evidence.full for digest, recovery in j.asked}
    events = lambda name: sum(e.type == name for j in judges for e in j.log.entries)
    report.counts |= {
        "files": len(evidence.files), "entries": sum(j.log.tree.size for j in judges),
        "statements": sum(e.kind != "charter" for _, e in evidence.statements.values()), "charters": len(evidence.charters),
        "requests": sum(not r for r in asked.values()), "recoveries": sum(asked.values()),
        "authorized": events("release.authorized"), "delivered": events("release.delivered"), "aborted": events("release.aborted"),
        "restrictions": len({d for j in judges for d in j.facts.restrictions.values()}), "views": len(evidence.views)}
    for outcome in ("permit", "pending", "refuse"):
        report.counts.setdefault("verdicts", {}).setdefault(outcome, 0)
    report.releases.sort(key=lambda r: (r["seat"], r["seq"]))

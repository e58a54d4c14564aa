"""What three nodes write and show, without content."""
from escrow_verify import logs

from forge import b64, EXPORT, hexed, Key, sha, signed, time

from ..told import authorise, DECISIONS, deliver, GONE, permit
from .history import History


class Nodes(History):
    """What three nodes write and show."""

    def tell(self):
        self.notes, self.open = [], {log.seat: [0] for log in self.logs}
        for _ in range(self.one(0, 0, 1, 2, 3)):
            self.versions.append(self.w.successor(self.one(*self.versions), self.altered))
        acts = [self.cosigned, self.ready, self.permitted, self.permitted, self.authorised, self.authorised, self.authorised,
                self.delivered, self.delivered, self.aborted, self.charter, self.charter, self.clock, self.accused, self.refused,
                self.lost]
        for _ in range(self.chance.randrange(2, 14)):
            log = self.one(*self.logs)
            self.one(*acts)(log, log.ts + self.one(0, 1, 500, 1000, 1000, 1000, 30_000, 61_000))
        return self.shown()

    def altered(self, body):
        change = self.one(*range(8))
        seat = self.w.seat(self.one(1, 2, 3), body)
        if change == 0:
            new = {"number": self.one(1, 2, 3, 5), "t": 2, "members": self.one([1, 2], [1, 3], [1, 2, 3])}
            body["generations"] = [*body["generations"], new] if self.maybe(0.6) else [new]
        elif change == 1:
            seat.update(statement_key=Key(f"fresh {self.one(0, 1)}").text)
        elif change == 2:
            seat.update(witness_key=Key(f"witness again {self.one(0, 1)}").text)
        elif change == 3:
            body["voided"] = [self.one(*self.versions).digest]
        elif change == 4:
            seat.update(log_origin=seat["log_origin"][:10] + self.one("", "/2", "/3"), log_key=Key(self.one("a", "b")).text,
                        previous_log_head=self.one(None, GONE[0]))
        elif change == 5:
            body["limits"]["clock_skew_s"] = self.one(1, 3600)

    def cosigned(self, log, at):
        other = self.one(*self.logs)
        size = self.one(len(other.rows), len(other.rows), 1, 2, 50)
        tree = logs.Tree([sha(b"\0" + row) for row in other.rows])
        root = tree.root(size) if size <= tree.size and self.maybe(0.9) else sha(b"another")
        log.add("witness.cosigned", {"event": "cosigned", "origin": other.origin, "size": size, "root": root.hex()}, at=at)

    def ready(self, log, at):
        log.add("node.ready", {"event": "ready", "peers": self.one([1, 2], [2, 3], [1, 3], [1], [], [1, 2, 3], [4, 5])}, at=at)

    def permitted(self, log, at):
        verdict = permit(self.w, self.one(1, 2, 3), at, self.one(*self.versions))
        self.statements.append(verdict)
        own = self.logs[verdict.body["seat"] - 1]
        where = own if self.maybe(0.8) else log
        where.add("verdict", {"event": "statement"}, verdict.names, max(where.ts, at))

    def authorised(self, log, at):
        named = {s.digest for s in self.chance.sample(self.statements, min(len(self.statements), self.one(0, 1, 1, 2)))}
        log.ts = at - 1000
        self.open[log.seat].append(authorise(
            log, named | ({GONE[0]} if self.maybe(0.1) else set()), self.call(), decisions=self.one(DECISIONS, DECISIONS, []),
            answers=self.one([GONE[1]], [GONE[1]], [])))

    def call(self):
        return hexed(self.w.nonce().encode()), hexed(self.w.nonce().encode())

    def opened(self, log):
        return self.one(*self.open[log.seat]) if self.maybe(0.9) else self.one(*range(5))

    def delivered(self, log, at):
        peers = self.chance.sample([1, 2, 3], self.one(0, 1, 2, 2, 3))
        log.witnesses = [self.w.witness(p, log.ts // 1000 + self.one(0, 0, 0, 100, -200)) for p in peers]
        text = log.text() if self.maybe(0.85) else f"{log.origin}\n{self.one(0, 1, len(log.rows))}\n{b64(sha(self.one(b'', b'x')))}\n"
        note, log.witnesses = signed(text, log.origin, log.key, log.witnesses), ()
        self.notes.append((log.origin, note))
        if self.maybe(0.6):
            for peer in (p for p in self.logs if p is not log):
                said = {"event": "cosigned", "origin": log.origin, "size": len(log.rows), "root": log.head()[1].hex()}
                peer.add("witness.cosigned", said, at=max(peer.ts, log.ts))
        log.ts = at - 1000
        deliver(self.w, log, self.opened(log), note, self.one(1, 1, 1, 2, 3))

    def aborted(self, log, at):
        body = {"event": "aborted", "authorized": self.opened(log), "reason": "restart", "request": hexed(b"request")}
        log.add("release.aborted", body, at=at)

    def charter(self, log, at):
        version = self.one(*self.versions)
        if self.maybe(0.8):
            log.add("charter", {"event": "statement"}, version.names, at)
        if self.maybe(0.8):
            log.add("charter.accepted", {"event": "charter-accepted", "charter": version.digest}, at=at)

    def clock(self, log, at):
        log.add("clock.anomaly", {"event": "clock", "by_ms": self.one(0, 5, -5)}, at=at)

    def accused(self, log, at):
        if self.notes:
            (origin, first), (_, second) = self.one(*self.notes), self.one(*self.notes)
            log.add("misbehaviour", {"event": "misbehaviour", "first": hexed(first), "origin": origin, "second": hexed(second)}, at=at)

    def refused(self, log, at):
        kind, rule = self.one("deposit", "genesis", "view"), self.one("malformed", "overloaded", "denied")
        log.add("refused", {"event": "refused", "kind": kind, "rule": rule, "statement": GONE[0]}, at=at)

    def lost(self, log, at):
        kind = self.one("request", "deposit", "verdict", "charter", "genesis")
        log.add(kind, {"event": "statement"}, self.one(GONE, self.w.genesis.names), at)

    def shown(self):
        views, end = [], max(log.ts for log in self.logs) + self.one(0, 1000, 1_300_000)
        for viewer in (1, 2, 3) if self.maybe(0.5) else ():
            for log in (x for x in self.logs if x.seat != viewer and self.maybe(0.7)):
                peers = [p for p in (1, 2, 3) if p != log.seat and self.maybe(0.8)]
                log.witnesses = [self.w.witness(p, end // 1000 - self.one(0, 5, 1190, 1201, 3000, -100)) for p in peers]
                note = log.note().decode() if self.maybe(0.9) else None
                view = self.w.statement("view", [Key(f"seat {viewer}")], self.one(*self.versions), seat=viewer, log=log.origin,
                                        note=note, export=EXPORT, at=time(end))
                views.append((viewer, log.seat, view, end))
                log.witnesses = ()
        rows = b"".join(row for log in self.logs for row in log.rows)
        named = lambda digest: digest.encode() in rows
        return self.w.bundle(
            self.logs if self.maybe(0.9) else self.logs[:2], charters=[c for c in self.versions[1:] if named(c.digest) or self.maybe(0.3)],
            statements=[s for s in self.statements if named(s.names[1])], views=views,
            notes=list({n for _, n in self.notes if named(hexed(n)) and self.maybe(0.95)}))

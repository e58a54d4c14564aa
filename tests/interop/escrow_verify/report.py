"""Section 21: classes, findings, the report."""
import json

CLASSES = ["OK", "INCOMPLETE", "VIOLATION", "MISBEHAVIOUR", "TAMPERED", "MALFORMED"]
EXIT = {"OK": 0, "INCOMPLETE": 8, "VIOLATION": 6, "MISBEHAVIOUR": 6, "TAMPERED": 6, "MALFORMED": 2}
LAYERS = ["package", "bytes", "acts", "views", "record", "policy-replay", "reports"]
NOT_DONE = {"policy-replay": "this verifier does not run Cedar", "reports": "this verifier makes only the counts again"}


class Report:
    def __init__(self, pinned):
        self.pinned = pinned
        self.findings = []
        self.done = []
        self.logs, self.counts, self.releases = [], {}, []

    def add(self, kind, rule, file, detail="", entry=None, seat=None):
        finding = {"class": kind, "file": file, "entry": entry, "seat": seat, "rule": rule, "detail": str(detail)[:400]}
        if finding not in self.findings:
            self.findings.append(finding)

    @property
    def verdict(self):
        return max((f["class"] for f in self.findings), key=CLASSES.index, default="OK")

    @property
    def altered(self):
        return self.verdict in ("TAMPERED", "MALFORMED")

    @property
    def exit_code(self):
        return EXIT[self.verdict]

    def as_json(self):
        why = "a layer before found the bundle altered" if self.altered else ""
        layers = [{"name": n, "done": n in self.done, "why": "" if n in self.done else why} for n in LAYERS]
        for layer in layers:
            layer["why"] = NOT_DONE.get(layer["name"], layer["why"])
        return json.dumps({
            "schema": "escrow.report.v1", "verdict": self.verdict, "charter": self.pinned, "findings": self.findings,
            "layers": layers, "logs": self.logs, "counts": self.counts, "releases": self.releases, "engine": None}, indent=2)

    def as_text(self):
        out = [f"{self.verdict} (record verdict), charter {self.pinned}"]
        for f in self.findings:
            where = f["file"] + (f" entry {f['entry']}" if f["entry"] is not None else "")
            out.append(f"  {f['class']} {f['rule']}: {where}: {f['detail']}")
        for log in self.logs:
            out.append(f"  seat {log['seat']}: {log['size']} entries, {log['views']} views: "
                       f"no fork by up to {log['fork_bound']} colluding nodes")
        out += ["custody report and certificate: not checked", "policy replay: not done"]
        return "\n".join(out)

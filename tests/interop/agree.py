"""Two verifiers, one record verdict: python3 agree.py BIN WORK [BUNDLE DIGEST]    (BIN has escrow and examples/corpus)

`escrow verify --no-policy-replay` and verify.py (written from docs/protocol.md) judge a corpus of valid bundles, of
misdeeds that need keys (made by audit/examples/corpus), of bundles altered without any key (attacks.py), and of bundles
that hostile hands wrote with keys of their own (forged/), whose verdict is known, or by chance, where they must charge the
same entries too. Their verdicts must be the same. The rules that they name are compared as well; VERBOSE=1 lists where
those differ. HISTORIES=N tells more histories by chance, from number HISTORY on."""
import base64
import collections
import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys

import attacks
import forged
from escrow_verify import keys, logs, package, strict
from escrow_verify.report import CLASSES
from escrow_verify.verify import verify_files

ROOT = pathlib.Path(__file__).resolve().parents[2]
LEAST = 200


def page_examples():
    """The worked examples of docs/protocol.md that the verifier's pieces must give."""
    page = (ROOT / "docs/protocol.md").read_text()
    examples = {}
    for name, block in re.findall(r"<!-- example: ([a-z0-9-]+) -->\n```text\n(.*?)```", page, re.S):
        joined = re.sub(r"\n  +", "", block)
        examples[name] = dict(re.findall(r"^([^=\n]+?) =\s?(.*)$", joined, re.M)) | {"": block}
    hexed = bytes.fromhex
    for method in ("ed25519", "es256", "sshsig"):
        e = examples[f"key-{method}"]
        key, signature = keys.Key(e["public"]), hexed(e["signature"])
        assert (key.raw.hex(), key.digest.hex(), key.id) == (e["raw"], e["digest"], e["key id"]), method
        assert key.verifies(e["message"].encode(), signature), f"{method}: the example's signature"
        for at in range(0, len(signature), 7):
            assert not key.verifies(e["message"].encode(), attacks.flip(signature, at)), f"{method}: byte {at}"
    low = hexed(examples["key-es256"]["signature"])
    high = low[:32] + (keys.P256_ORDER - int.from_bytes(low[32:], "big")).to_bytes(32, "big")
    assert not keys.es256(keys.Key(examples["key-es256"]["public"]).raw, b"escrow", high), "high S"
    ed = hexed(examples["key-ed25519"]["signature"])
    raised = ed[:32] + (int.from_bytes(ed[32:], "little") + keys.ORDER).to_bytes(32, "little")
    assert not keys.ed25519(hexed(examples["key-ed25519"]["raw"]), b"escrow", raised), "S not reduced"
    for small in ("01" + "00" * 31, "ec" + "ff" * 30 + "7f", "00" * 32, "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"):
        assert not keys.sound_point(hexed(small)), "a point of small order"
    assert not keys.sound_point(hexed("ee" + "ff" * 30 + "7f")), "a point that is not canonical"
    policy = examples["policy-digest"]
    text = json.loads(policy["text, as a JSON string"])
    assert keys.hexdigest(keys.labelled("escrow/v1/policy", 1, text)) == policy["digest"], "policy digest"
    note = examples["log-checkpoint"][""].split("note:\n")[1].encode()
    checkpoint = logs.Checkpoint(note)
    log_key = strict.blob(examples["log-checkpoint"]["verifier key"].split("+", 2)[2])[1:]
    assert logs.log_signed(checkpoint.note, checkpoint.origin, log_key) and checkpoint.size == 2, "checkpoint"
    line = examples["log-cosignature"][""].split("line:\n")[1]
    witness, _, key = examples["log-cosignature"]["verifier key"].split("+", 2)
    assert logs.cosigned(logs.Note(note + line.encode()), witness, strict.blob(key)[1:]), "cosignature"
    entries = [logs.Entry(examples["log-entry"][f"entry {n}"].encode()) for n in (0, 1)]
    assert [e.leaf.hex() for e in entries] == [examples["log-entry"][f"leaf hash {n}"] for n in (0, 1)], "leaf hashes"
    assert logs.Tree([e.leaf for e in entries]).root(2) == checkpoint.root, "root"


def write(folder, files):
    for path, data in files.items():
        at = folder / path
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_bytes(data)


def ours(case):
    kind, folder, pinned = case
    report = verify_files(package.read_folder(folder), pinned)
    return report.verdict, *told(report.findings)


def told(findings):
    """The rules that are named above a remark, and the entries that are charged."""
    return (sorted({(f["class"], f["rule"]) for f in findings if f["class"] != "OK"}),
            sorted({(f["file"], f["entry"]) for f in findings if f["class"] == "VIOLATION" and f["entry"] is not None}))


def theirs(escrow, case):
    kind, folder, pinned = case
    args = [escrow, "verify", folder, "--charter-digest", pinned, "--no-policy-replay", "--output", "json"]
    done = subprocess.run(args, capture_output=True, text=True, check=False)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        sys.exit(f"{' '.join(args)} gave no report: {done.stdout[:500]}{done.stderr[:500]}")
    assert all(not x["done"] for x in report["layers"] if x["name"] == "policy-replay"), "policy replay was to be left out"
    return report["verdict"], *told(report["findings"])


def template(corpus):
    """A charter that forged ones follow."""
    envelope = json.loads((corpus / "valid-pending/data/charters/0001.json").read_bytes())
    return json.loads(base64.b64decode(envelope["payload"]))


def by_hand(corpus, work, expected):
    """The stories of forged/; what each must give is added to `expected`."""
    for name, verdict, rule, pinned, files in forged.all_of(template(corpus)):
        folder = work / name
        write(folder, files)
        expected[str(folder)] = verdict, rule
        yield "forged by hand", str(folder), pinned


def by_chance(corpus, work):
    """Histories of forged/chance.py: HISTORIES of each sort, from number HISTORY on."""
    count, first = int(os.environ.get("HISTORIES", 60)), int(os.environ.get("HISTORY", 0))
    for name, pinned, files in forged.histories(template(corpus), count, first):
        write(work / name, files)
        yield "history by chance", str(work / name), pinned


def unlike(expected, found):
    """Whether a report is not what a forged story must give."""
    verdict, rule = expected
    return found[0] != verdict or rule is not None and rule not in {r for _, r in found[1]}


def cases(program, corpus, work, own=()):
    """(kind, folder, pinned digest): stories as they are, then mutations of some valid ones."""
    pins = json.loads((corpus / "corpus.json").read_text())
    for name, pinned in pins.items():
        kind = "valid" if name.startswith("valid-") else "lacks something" if name.startswith("lacks-") else \
            "without content" if name.startswith("without-") else "misdeed with keys"
        yield kind, str(corpus / name), pinned
        if name in ("valid-release", "valid-recovery", "fork-of-the-charter", "deliver-too-late"):
            yield "another digest pinned", str(corpus / name), attacks.sha(name.encode())
    if own:
        yield "valid", *own
    load = lambda name: package.read_folder(corpus / name)
    bases = {n: load(n) for n in ("valid-release", "valid-recovery", "valid-second-charter", "without-valid-release")}
    remade = []
    for seed, name in enumerate(bases):
        order = [bases[name], *(f for n, f in bases.items() if n != name)]
        mutations = list(attacks.all_of(order, seed))
        if seed:   # the first base gets all of them, the others a sample
            mutations = random.Random(seed).sample(mutations, 60)
        for number, (kind, files) in enumerate(mutations):
            folder = work / f"{name}-{number:03}"
            write(folder, files)
            if isinstance(files, attacks.Remade):
                remade.append(folder)
            yield kind, str(folder), pins[name]
    subprocess.run([program, "--reports", *remade], check=True)


def main():
    bin_dir, work, own = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]
    page_examples()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    subprocess.run([bin_dir / "examples" / "corpus", work / "corpus"], check=True)
    expected = {}
    found = list(cases(bin_dir / "examples" / "corpus", work / "corpus", work / "mutated", own))
    found += by_hand(work / "corpus", work / "forged", expected)
    found += by_chance(work / "corpus", work / "chance")
    escrow = bin_dir / "escrow"
    with concurrent.futures.ThreadPoolExecutor(2) as threads, multiprocessing.Pool(2) as pool:
        rust = [threads.submit(theirs, escrow, c) for c in found]
        python = pool.map(ours, found, chunksize=4)
        rust = [r.result() for r in rust]
    table = collections.defaultdict(collections.Counter)
    wrong, rules = [], []
    for case, a, b in zip(found, rust, python):
        table[case[0]][a[0]] += 1
        odd = case[1] in expected and (unlike(expected[case[1]], a) or unlike(expected[case[1]], b))
        if a[0] != b[0] or odd or case[0] == "history by chance" and a[2] != b[2]:
            wrong.append((case, a, b))
        elif a[1] != b[1]:
            rules.append((case, a, b))
    width = max(map(len, table))
    print(f"   {'mutation':{width}} " + " ".join(f"{c:>12}" for c in CLASSES))
    for kind in sorted(table):
        print(f"   {kind:{width}} " + " ".join(f"{table[kind][c] or '':>12}" for c in CLASSES))
    total = collections.Counter(a[0] for a in rust)
    print(f"   {'all':{width}} " + " ".join(f"{total[c]:>12}" for c in CLASSES))
    for title, some in (("OTHER RULES (same verdict)", rules), ("DISAGREEMENT", wrong)):
        for (kind, folder, _), a, b in some if title[0] == "D" or os.environ.get("VERBOSE") else ():
            print(f"{title}: {kind}: {folder} {expected.get(folder, '')}\n  escrow    {a}\n  verify.py {b}")
    valid = sum(table["valid"].values())
    mutated = len(found) - valid
    print(f"   {valid} valid and {mutated} mutated bundles, {len(wrong)} disagreements; "
          f"{len(rules)} with the same verdict for other reasons. Policy replay: not done")
    assert table["valid"] == {"OK": valid} and valid >= 20, "a valid bundle is not OK"
    blamed = table["misdeed with keys"]
    assert blamed["TAMPERED"] + blamed["MALFORMED"] == 0, "a misdeed that is taken for an altered bundle"
    assert mutated >= LEAST and all(total[c] for c in CLASSES), "too few mutations, or a class without any"
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()

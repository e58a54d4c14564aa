"""Recomputes chain, RFC 6962 tree, checkpoints and Ed25519 statement signatures of a bundle, from
docs/protocol.md, with the standard library and `cryptography` only."""
import base64, hashlib, json, pathlib, struct, sys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

bundle, digest = pathlib.Path(sys.argv[1]), sys.argv[2]
sha = lambda b: hashlib.sha256(b).digest()


def envelope(path):
    e = json.loads(path.read_bytes())
    return base64.b64decode(e["payload"]), e


def pae(kind, payload):
    return b"DSSEv1 %d %s %d " % (len(kind), kind.encode(), len(payload)) + payload


def root(leaves):
    if not leaves:
        return sha(b"")
    level = 1
    while level * 2 < len(leaves):
        level *= 2
    if len(leaves) == 1:
        return leaves[0]
    return sha(b"\x01" + root(leaves[:level]) + root(leaves[level:]))


def note_verifies(text, lines, name, key):
    """True if a line of this name is an Ed25519 log signature of this key."""
    key_id = sha(name.encode() + b"\n\x01" + key)[:4]
    for line in lines:
        _, who, sig = line.split(" ")
        raw = base64.b64decode(sig)
        if who == name and raw[:4] == key_id:
            try:
                Ed25519PublicKey.from_public_bytes(key).verify(raw[4:], text)
                return True
            except InvalidSignature:
                return False
    return False


payload, _ = envelope(bundle / "data/charters/0001.json")
assert sha(payload).hex() == digest, "the charter is not the pinned one"
charter = json.loads(payload)
raw = lambda text: base64.b64decode(text.split(":", 1)[1])
keys = {k["key"] for p in charter["people"] for k in p["keys"]} | {s["statement_key"] for s in charter["seats"]}
for path in (bundle / "data/statements").iterdir():
    body, e = envelope(path)
    if e["payloadType"] == "application/vnd.escrow.enrolment.v1+json":
        keys |= {d["key"] for d in json.loads(body)["devices"]}

ids = {}
label = lambda *parts: b"".join(struct.pack(">Q", len(p)) + p for p in parts)
for key in keys:
    method = key.split(":", 1)[0]
    ids[sha(label(b"escrow/v1/key", method.encode(), raw(key))).hex()[:16]] = (method, raw(key))

signatures = 0
for path in (bundle / "data/statements").iterdir():
    assert sha(path.read_bytes()).hex() == path.stem, f"{path} is misnamed"
    body, e = envelope(path)
    for s in e["signatures"]:
        method, key = ids[s["keyid"]]
        if method == "ed25519":
            Ed25519PublicKey.from_public_bytes(key).verify(base64.b64decode(s["sig"]), pae(e["payloadType"], body))
            signatures += 1

entries = 0
for seat in charter["seats"]:
    folder = bundle / "data/logs" / str(seat["index"]) / "1"
    lines = (folder / "entries.jsonl").read_bytes().split(b"\n")[:-1]
    leaves, prev = [], "0" * 64
    for seq, line in enumerate(lines):
        entry = json.loads(line)
        assert (entry["seq"], entry["log"], entry["prev"]) == (seq, seat["log_origin"], prev), (seat["index"], seq)
        leaves.append(sha(b"\x00" + line))
        prev = leaves[-1].hex()
        entries += 1
    note = (folder / "checkpoint.txt").read_bytes()
    text, _, rest = note.partition(b"\n\n")
    text += b"\n"
    origin, size, root64 = text.decode().splitlines()[:3]
    assert origin == seat["log_origin"] and int(size) == len(lines), "checkpoint of another size"
    assert base64.b64decode(root64) == root(leaves), "checkpoint of another root"
    assert note_verifies(text, rest.decode().splitlines(), origin, raw(seat["log_key"])), "checkpoint not signed"

assert signatures > 20 and entries > 50, "too little was checked"
print(f"   record OK: {entries} entries, {signatures} signatures. Policy replay: not done")

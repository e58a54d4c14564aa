"""RSMF files by Python's own email and zipfile: one attachment, headers and manifest that agree, every file referenced.

rsmf.py DIR            checks every .rsmf below DIR
rsmf.py DIR --out TO   writes the manifests to TO besides, for check-jsonschema --schemafile rsmf_schema.json
"""
import argparse
import datetime
import email
import email.policy
import io
import json
import pathlib
import sys
import zipfile

MANIFEST = "rsmf_manifest.json"


def unique(pairs):
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("a member stands twice")
    return out


def instant(text):
    at = datetime.datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text} has no offset")
    return at


def pieces(names):
    return sorted(piece.strip() for name in names for piece in name.split(",") if piece.strip())


def read(data, say):
    """The manifest and the sizes of the files in rsmf.zip."""
    message = email.message_from_bytes(data, policy=email.policy.default)
    say(not message.defects, f"defects: {message.defects}")
    say(data.lower().startswith(b"x-rsmf-version:"), "X-RSMF-Version is not the first header")
    senders = message["From"].addresses if message["From"] else ()
    say(len(senders) == 1, f"{len(senders)} addresses in From")
    body = message.get_body(preferencelist=("plain",))
    say(body is not None and body.get_content().strip(), "no text/plain body")
    attached = list(message.iter_attachments())
    say(len(attached) == 1, f"{len(attached)} attachments")
    part = attached[0]
    say(part.get_filename() == "rsmf.zip", f"attached as {part.get_filename()}")
    say(part["Content-Transfer-Encoding"].lower() == "base64", "not base64")
    # Bytes that were written again are the same message to this library.
    again = email.message_from_bytes(message.as_bytes(), policy=email.policy.default)
    say(list(again.iter_attachments())[0].get_content() == part.get_content(), "another attachment after a round trip")
    with zipfile.ZipFile(io.BytesIO(part.get_content())) as archive:
        say(archive.testzip() is None, "a damaged file in rsmf.zip")
        infos = archive.infolist()
        say(len({i.filename for i in infos}) == len(infos), "two files of one name in rsmf.zip")
        say(not any(i.flag_bits & 1 for i in infos), "rsmf.zip has a password")
        manifest = json.loads(archive.read(MANIFEST).decode(), object_pairs_hook=unique)
        return message, manifest, {i.filename: i.file_size for i in infos}


def agree(message, manifest, files, say):
    events = manifest["events"]
    attachments = [a for e in events for a in e.get("attachments", [])]
    named = {a["id"] for a in attachments}
    named |= {p["avatar"] for p in manifest["participants"] if "avatar" in p}
    named |= {c["icon"] for c in manifest["conversations"] if "icon" in c}
    say(named == set(files) - {MANIFEST}, f"referenced or there, not both: {named ^ (set(files) - {MANIFEST})}")
    for a in attachments:
        say(a.get("size", files.get(a["id"])) == files.get(a["id"]), f"size of {a['id']}")
    ids = [e["id"] for e in events if "id" in e]
    say(len(set(ids)) == len(ids), "an event id stands twice")
    people = {p["id"] for p in manifest["participants"]}
    say(all(e.get("participant", next(iter(people), None)) in people for e in events), "an unknown participant")
    say(message["X-RSMF-Version"] == manifest["version"], "X-RSMF-Version")
    header = lambda name: message[f"X-RSMF-{name}"]
    times = sorted(((instant(e["timestamp"]), e["timestamp"]) for e in events if "timestamp" in e), key=lambda t: t[0])
    for name, at in (("BeginDate", 0), ("EndDate", -1)):
        if header(name) is not None:
            same = {text for moment, text in times if moment == times[at][0]}
            say(header(name) in same, f"X-RSMF-{name} is {header(name)}, not one of {same}")
    for name, real in (("EventCount", len(events)), ("AttachmentCount", len(attachments))):
        say(header(name) in (None, str(real)), f"X-RSMF-{name} is {header(name)}, not {real}")
    if header("Participants") is not None:
        displays = [p["display"] for p in manifest["participants"] if "display" in p]
        say(pieces([str(header("Participants"))]) == pieces(displays), "X-RSMF-Participants")
    say(header("EventCollectionID") in (None, manifest.get("eventcollectionid")), "X-RSMF-EventCollectionID")
    return len(events), len(attachments)


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("dir", type=pathlib.Path)
    args.add_argument("--out", type=pathlib.Path)
    args = args.parse_args()
    bad, counts, paths = [], [0, 0], sorted(args.dir.rglob("*.rsmf"))
    for number, path in enumerate(paths):
        def say(right, what, path=path):
            if not right:
                raise ValueError(what)
        try:
            message, manifest, files = read(path.read_bytes(), say)
            counts = [a + b for a, b in zip(counts, agree(message, manifest, files, say))]
            if args.out:
                args.out.mkdir(exist_ok=True)
                (args.out / f"{number:06}.json").write_text(json.dumps(manifest, ensure_ascii=False), encoding="utf-8")
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, zipfile.BadZipFile) as e:
            bad.append(f"{path}: {type(e).__name__}: {e}")
    print("\n".join(bad), file=sys.stderr)
    if not paths:
        sys.exit(f"no .rsmf file below {args.dir}")
    print(f"   {len(paths)} RSMF files, {counts[0]} events, {counts[1]} attachments; {len(bad)} disagree")
    sys.exit(bool(bad))


main()

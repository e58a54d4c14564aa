"""Section 20: the folder, its paths, and BagIt's manifests."""
import os
import re
import stat

from .keys import hexdigest

DECLARATION = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
TAGS = ("bag-info.txt", "bagit.txt", "manifest-sha256.txt")
MANIFEST, TAG_MANIFEST = "manifest-sha256.txt", "tagmanifest-sha256.txt"
FILES, OCTETS = 200_000, 64 * 1024 * 1024
_part = re.compile(r"[!-\[\]-~]+", re.ASCII)
_row = re.compile(rb"([0-9a-f]{64})  ([^\n]+)")


class Unreadable(Exception):
    """The folder cannot be taken for a bundle at all."""


def path_ok(path):
    parts = path.split("/")
    return (len(path) <= 255 and not set(path) & set("\\:%")
            and all(_part.fullmatch(p) and p not in (".", "..") for p in parts))


def read_folder(folder):
    """Every plain file below a folder by its path; nothing is followed out of it."""
    files, stack = {}, [("", folder)]
    while stack:
        prefix, at = stack.pop()
        for item in sorted(os.scandir(at), key=lambda e: e.name):
            path, mode = prefix + item.name, item.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                stack.append((path + "/", item.path))
            elif not stat.S_ISREG(mode):
                raise Unreadable(f"{path} is not a plain file")
            elif len(files) >= FILES:
                raise Unreadable("too many files")
            elif item.stat().st_size > OCTETS and item.name != "entries.jsonl":
                files[path] = None      # too large, and not read
            else:
                with open(item.path, "rb") as f:
                    files[path] = f.read()
    return files


def manifest(data):
    """path -> digest, or None if it is not exactly the form of section 20."""
    rows = data.split(b"\n")
    if not data or rows.pop() != b"":
        return None
    out, before = {}, b""
    for row in rows:
        parts = _row.fullmatch(row)
        if not parts or parts[2] <= before:
            return None
        before, path = parts[2], parts[2].decode("ascii", "replace")
        if not path_ok(path):
            return None
        out[path] = parts[1].decode()
    return out


def listing(files, name, covers, report):
    """Compares one manifest with the files that it should list; answers those that are as listed."""
    rows = manifest(files[name]) if name in files else None
    if rows is None:
        report.add("MALFORMED", "manifest", name, "missing, or not of the form")
        return set()
    for path in rows:
        if not covers(path):
            report.add("MALFORMED", "manifest", name, f"lists {path}, which is not its to list")
        elif path not in files:
            report.add("TAMPERED", "missing", path, f"listed in {name} and not there")
    intact = set()
    for path in filter(covers, files):
        if path not in rows:
            report.add("TAMPERED", "unlisted", path, f"not listed in {name}")
        elif hexdigest(files[path]) != rows[path]:
            report.add("TAMPERED", "digest", path, "altered since it was packed")
        else:
            intact.add(path)
    return intact


def check(files, report):
    for path in files:
        if not path_ok(path):
            report.add("MALFORMED", "path", path, "not a path of a bundle")
        elif files[path] is None:
            report.add("MALFORMED", "too-large", path, "longer than 64 MiB")
    if "bagit.txt" not in files:
        report.add("MALFORMED", "not-a-bag", "bagit.txt", "no BagIt declaration")
    if report.altered:
        return
    intact = listing(files, TAG_MANIFEST, lambda p: p in TAGS, report)
    for path in files:
        if not path.startswith("data/") and path not in (*TAGS, TAG_MANIFEST):
            report.add("TAMPERED", "unlisted", path, "no file of a bundle")
    if MANIFEST not in intact:
        return
    if "bagit.txt" in intact and files["bagit.txt"] != DECLARATION:
        report.add("MALFORMED", "not-a-bag", "bagit.txt", "not BagIt 1.0 in UTF-8")
    listing(files, MANIFEST, lambda p: p.startswith("data/"), report)

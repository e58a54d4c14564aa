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
            elif item.stat().st_size > OCTETS or len(files) >= FILES:
                raise Unreadable(f"{path}: too large, or too many files")
            else:
                with open(item.path, "rb") as f:
                    files[path] = f.read()
    return files


def manifest(data):
    """path -> digest, or None if it is not exactly the form of section 20."""
    rows = data.split(b"\n")
    if rows.pop() != b"":
        return None
    out, before = {}, b""
    for row in rows:
        parts = _row.fullmatch(row)
        if not parts or parts[2] <= before:
            return None
        before = parts[2]
        try:
            out[parts[2].decode("ascii")] = parts[1].decode()
        except UnicodeDecodeError:
            return None
    return out


def check(files, report):
    for path in files:
        if not path_ok(path):
            report.add("MALFORMED", "path", path, "not a path of a bundle")
    if files.get("bagit.txt") != DECLARATION:
        report.add("MALFORMED", "not-a-bag", "bagit.txt", "no BagIt 1.0 declaration")
    if report.altered:
        return
    listed = {}
    for name, covers in ((MANIFEST, lambda p: p.startswith("data/")), (TAG_MANIFEST, lambda p: p in TAGS)):
        rows = manifest(files[name]) if name in files else None
        if rows is None or not all(map(covers, rows)):
            report.add("MALFORMED", "manifest", name, "missing, or not of the form")
        else:
            listed |= rows
    if report.altered:
        return
    for tag in TAGS:
        if tag not in listed:
            report.add("TAMPERED", "unlisted" if tag in files else "missing", tag, f"not in {TAG_MANIFEST}")
    for path, digest in listed.items():
        if path not in files:
            report.add("TAMPERED", "missing", path, "listed and not there")
        elif hexdigest(files[path]) != digest:
            report.add("TAMPERED", "digest", path, "altered since it was packed")
    for path in files:
        if path not in listed and path not in (*TAGS, TAG_MANIFEST):
            report.add("TAMPERED", "unlisted", path, "there and not listed")

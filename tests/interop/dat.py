"""Concordance load files by a parser of our own in Python: columns, DOCIDs, families, paths, lengths and digests.

dat.py DIR   checks every .dat below DIR; paths in it are relative to the load file, to DIR or to DIR/data
"""
import hashlib
import pathlib
import sys

QUOTE, SEPARATOR, NEWLINE = "\u00fe", "\u0014", "\u00ae"


def rows(data):
    if not data.startswith(b"\xef\xbb\xbf"):
        raise ValueError("no byte order mark")
    for number, line in enumerate(data[3:].decode().split("\n"), 1):
        line = line.removesuffix("\r")
        if not line:
            continue
        values = line.split(SEPARATOR)
        for value in values:
            if len(value) < 2 or value[0] != QUOTE or value[-1] != QUOTE:
                raise ValueError(f"line {number}: a value without quotes")
            if QUOTE in value[1:-1].replace(QUOTE * 2, ""):
                raise ValueError(f"line {number}: a quote inside a value")
        yield number, [v[1:-1].replace(QUOTE * 2, QUOTE).replace(NEWLINE, "\n") for v in values]


def find(bases, path):
    parts = path.replace("\\", "/").split("/")
    if parts[0] in ("", "~") or ".." in parts or ":" in path:
        raise ValueError(f"{path} leaves the production")
    for base in bases:
        if base.joinpath(*parts).is_file():
            return base.joinpath(*parts)
    raise ValueError(f"{path} is not there")


def native(row, file):
    data = file.read_bytes()
    for column, real in (("MD5HASH", hashlib.md5(data).hexdigest()), ("SHA256HASH", hashlib.sha256(data).hexdigest()),
                         ("FILESIZE", str(len(data)))):
        if row.get(column) and row[column].lower() != real:
            raise ValueError(f"{row['DOCID']}: {column} is {row[column]}, the file has {real}")


def check(root, path):
    lines = rows(path.read_bytes())
    names = [n.upper() for n in next(lines)[1]]
    if len(set(names)) != len(names) or "DOCID" not in names:
        raise ValueError("a column stands twice, or there is no DOCID")
    documents, files = {}, 0
    for number, values in lines:
        if len(values) != len(names):
            raise ValueError(f"line {number}: {len(values)} values, {len(names)} columns")
        row = dict(zip(names, values))
        if not row["DOCID"] or row["DOCID"] in documents:
            raise ValueError(f"line {number}: DOCID {row['DOCID']!r} is empty or there before")
        documents[row["DOCID"]] = row
        bases = (path.parent, root, root / "data")
        for column in ("NATIVEPATH", "TEXTPATH"):
            if row.get(column):
                file = find(bases, row[column])
                files += 1
                if column == "NATIVEPATH":
                    native(row, file)
        for column in ("EVENTCOUNT", "ATTACHCOUNT"):
            if row.get(column) and not row[column].isdecimal():
                raise ValueError(f"{row['DOCID']}: {column} is {row[column]}")
    for row in documents.values():
        span = (row.get("BEGATTACH"), row.get("ENDATTACH"))
        parent = row.get("PARENTID")
        if any(id and id not in documents for id in (*span, parent)) or bool(span[0]) != bool(span[1]):
            raise ValueError(f"{row['DOCID']}: a family with a document that is not there")
        if parent and span != (documents[parent].get("BEGATTACH"), documents[parent].get("ENDATTACH")):
            raise ValueError(f"{row['DOCID']}: not in the family of its parent")
    return len(documents), files


def main():
    root = pathlib.Path(sys.argv[1])
    paths = sorted(root.rglob("*.dat"))
    if not paths:
        sys.exit(f"no .dat file below {root}")
    bad, documents, files = 0, 0, 0
    for path in paths:
        try:
            counts = check(root, path)
            documents, files = documents + counts[0], files + counts[1]
        except (ValueError, StopIteration) as e:
            print(f"{path}: {e}", file=sys.stderr)
            bad += 1
    print(f"   {len(paths)} load files, {documents} documents, {files} paths; {bad} at fault")
    sys.exit(bool(bad))


main()

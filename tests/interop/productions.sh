#!/usr/bin/env bash
# Productions of every format under tools that we did not write: PyPI bagit, Python's email and zipfile,
# check-jsonschema, a second DAT parser, Chromium.
# usage: productions.sh BIN WORK PYTHON DEMO-FOLDER
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=$1 work=$2 python=$3 demo=$4
made=$work/productions
mkdir "$made"

# Edits, deletions, attachments, replies over a border, right-to-left text, what nobody can decrypt: as the tests make it.
ESCROW_PRODUCTIONS=$made cargo test --workspace --quiet --test production -- --exact package::productions_for_other_tools >"$work/productions.log" 2>&1 || { cat "$work/productions.log"; exit 1; }
cp -r "$demo/production" "$made/demo"

# The same release again, in another year, zone, language and folder: the same bytes.
mkdir -p "$work/else where"
TZ=Asia/Tokyo LC_ALL=tr_TR.UTF-8 ESCROW_CONFIG_DIR="$demo/config" faketime '2031-02-03 04:05:06' \
    "$bin/escrow" --context erik export rsmf "$demo/replies.json" --archive "$demo/archive" --evidence "$demo/bundle" --out "$work/else where/again" >"$work/again.log" 2>&1 || { cat "$work/again.log"; exit 1; }
diff -r "$demo/production" "$work/else where/again"

for bag in "$made"/*; do
    "$python" -c 'import bagit, logging, sys; logging.disable(logging.CRITICAL); bagit.Bag(sys.argv[1]).validate()' "$bag"
    (cd "$bag" && sha256sum --quiet -c tagmanifest-sha256.txt && sha256sum --quiet -c manifest-sha256.txt && md5sum --quiet -c manifest-md5.txt)
done
for rsmf in rsmf dat demo; do
    "$python" tests/interop/rsmf.py "$made/$rsmf" --out "$work/manifests-$rsmf"
    find "$work/manifests-$rsmf" -name '*.json' -print0 |
        xargs -0 "$(dirname "$python")/check-jsonschema" --schemafile tests/interop/rsmf_schema.json >"$work/schema.log" 2>&1 || { cat "$work/schema.log"; exit 1; }
done
"$python" tests/interop/dat.py "$made/dat"

page=$(find "$made/html/data/html" -name "*.html" | sort | head -n 1)
browse() { # PAGE NAME: DOM, console and network log of a page
    chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
        --disable-component-update --disable-sync --user-data-dir="$(mktemp -d "$work/chromium-XXXXXX")" \
        --enable-logging=stderr --log-net-log="$work/$2.net.json" --dump-dom "file://$1" >"$work/$2.dom.html" 2>"$work/$2.console.log"
}
echo '<!DOCTYPE html><img src="http://example.invalid/x.png"><script>console.error("x")</script>' >"$work/bad.html"
browse "$work/bad.html" bad
browse "$page" page
grep -qF CONSOLE "$work/bad.console.log" || { echo "Chromium's console is not seen" >&2; exit 1; }
if grep -F CONSOLE "$work/page.console.log"; then echo "the page writes to the console" >&2; exit 1; fi
# The script ran: it shows the search box.
grep -q '<p id="find">' "$work/page.dom.html" || { echo "the page's script did not run" >&2; exit 1; }
"$python" - "$work/bad.net.json" "$work/page.net.json" <<'PY'
import json, sys

def asked(path):
    """What a page asks for; what the browser itself asks for has no origin."""
    text = open(path, encoding="utf-8").read().rstrip().rstrip(",")
    try:
        log = json.loads(text)
    except json.JSONDecodeError:  # the browser ended before it closed the list
        log = json.loads(text + "]}")
    params = [e.get("params", {}) for e in log["events"]]
    return {p["url"] for p in params if p.get("initiator", "not an origin") != "not an origin" and not p["url"].startswith("file:")}

bad, page = asked(sys.argv[1]), asked(sys.argv[2])
assert bad == {"http://example.invalid/x.png"}, f"requests of a page are not seen: {bad}"
assert not page, f"the page asks the network: {page}"
PY
echo "   $(find "$made" -name '*.rsmf' | wc -l) RSMF files, a load file, pages and lines: nothing found"

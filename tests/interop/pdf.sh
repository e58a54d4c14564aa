#!/usr/bin/env bash
# Prints HTML reports to PDF with headless Chromium, on A4 and Letter, and checks the sheets.
# usage: pdf.sh PYTHON WORK NAME=FILE.html...   (NAME: custody or verification)
set -euo pipefail
cd "$(dirname "$0")/../.."
python=$1 work=$2
shift 2

for named in "$@"; do
    name=${named%%=*} html=${named#*=}
    for paper in A4 Letter; do
        out="$work/$name-$paper"
        # The page leaves the sheet to the printer; here a line at its end is the printer.
        { cat "$html"; echo "<style>@page{size:$paper}</style>"; } >"$out.html"
        # The page's own policy allows no request, and the flags keep the browser itself from making any.
        chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
            --disable-component-update --disable-sync --user-data-dir="$(mktemp -d "$work/chromium-XXXXXX")" \
            --no-pdf-header-footer --print-to-pdf="$out.pdf" "file://$out.html" >"$out.log" 2>&1 || { cat "$out.log"; exit 1; }
        pdftotext -bbox "$out.pdf" "$out.bbox.html"
        pdftotext -raw "$out.pdf" "$out.txt"
        rm -f "$out"-page*.pgm
        pdftoppm -r 60 -gray "$out.pdf" "$out-page"
        "$python" tests/interop/pdf.py "$paper" "$html" "$out"
    done
done

#!/usr/bin/env bash
# A subject loses every device and gets their messages back, with the real programs, days apart: the
# clocks of nodes and people are moved by libfaketime. Needs: faketime, python3.
# Usage: recover.sh BIN WORK
set -euo pipefail
bin=$1 work=$2
dir=$work/recover
export ESCROW_CONFIG_DIR=$dir/config
"$bin/escrow" demo --dir "$dir" --keep >"$work/recover-demo.log" 2>&1 || { cat "$work/recover-demo.log"; exit 1; }
at=0
escrow() { faketime -f "+${at}h" "$bin/escrow" "$@" 2>"$work/recover.err" || { local code=$?; cat "$work/recover.err" >&2; return $code; }; }
member() { python3 -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
# Moves all clocks: every node is stopped and started again, later.
later() {
    at=$((at + $1))
    pkill -f "$dir/node[1-5]/escrow-node.toml" || true
    while pgrep -f "$dir/node[1-5]/escrow-node.toml" >/dev/null; do sleep 0.2; done
    for n in 1 2 3 4 5; do
        faketime -f "+${at}h" "$bin/escrow-node" --config "$dir/node$n/escrow-node.toml" run >>"$dir/node$n/node.log" 2>&1 &
    done
    for _ in $(seq 150); do
        ready=$(escrow --context quinn node status --output json 2>/dev/null | member ready || echo 0)
        [ "$ready" = 5 ] && return
        sleep 0.4
    done
    echo "the nodes are not READY $at hours later"; exit 1
}
trap 'pkill -f "$dir/node[1-5]/escrow-node.toml" || true' EXIT

later 1
# Piet consented in the story and deposited; his phone is gone. A new one is enrolled by both registrars.
subject=u-piet.devries
escrow --context quinn keygen device --subject "$subject" --token-key "$dir/keys/token.key" --out "$dir/keys/tablet.key" >/dev/null
escrow --context rita enrol "$dir/keys/tablet.key.pub.json" --out "$dir/enrol.json" >/dev/null || [ $? = 5 ]
escrow --context rolf enrol --countersign "$dir/enrol.json" >/dev/null
escrow context add tablet --charter "$dir/charter.json" --genesis "$(escrow --context quinn context list --output json | sed -n 's/.*"genesis": "\(.*\)".*/\1/p' | head -n 1)" \
    --key "$dir/keys/tablet.key" --directory "$dir/directory.json" --token-key "$dir/keys/token.key" >/dev/null

echo "   a device enrolled today recovers nothing"
code=0; escrow --context tablet recover start >/dev/null || code=$?
[ "$code" = 5 ] || { echo "exit code $code"; exit 1; }

later 80
hash=$(escrow --context tablet recover start --output json | member request_hash)
escrow --context lena request list --waiting-for-me
for who in lena dora; do escrow --context $who approve "$hash" --yes --request-hash "$hash" >/dev/null; done
echo "   approved, but it must lie open for a day"
code=0; escrow --context tablet recover collect "$hash" --out "$dir/own.replies" >/dev/null || code=$?
[ "$code" = 5 ] || { echo "exit code $code"; exit 1; }

later 25
escrow --context tablet recover show "$hash"
escrow --context tablet recover collect "$hash" --out "$dir/own.replies"
escrow --context tablet archive open "$dir/own.replies" --archive "$dir/archive" --out "$dir/own.jsonl"
[ -s "$dir/own.jsonl" ] || { echo "nothing was opened"; exit 1; }

echo "   the whole story stands in a bundle that verifies offline"
escrow --context quinn audit export --request "$hash" --out "$dir/recovery.bundle" >/dev/null
genesis=$(escrow --context quinn context list --output json | sed -n 's/.*"genesis": "\(.*\)".*/\1/p' | head -n 1)
escrow verify "$dir/recovery.bundle" --charter-digest "$genesis"

echo "   the next one is vetoed by the other device"
hash=$(escrow --context tablet recover start --output json | member request_hash)
escrow --context sven recover veto "$hash" >/dev/null
code=0; escrow --context tablet recover collect "$hash" --out "$dir/other.replies" >/dev/null || code=$?
[ "$code" = 3 ] || { echo "exit code $code"; exit 1; }

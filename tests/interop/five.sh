#!/usr/bin/env bash
# Five operators install, run, upgrade and restore their nodes from deploy/ and docs/operations.md alone: five
# users, five folders, the commands of the page and the command of the unit. Needs python3, systemd-analyze.
# As root: separate Unix users. Not as root: separate folders only, and it says so.
# Usage: five.sh BIN WORK
set -euo pipefail
bin=$1 work=$2/five
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
page=$project/docs/operations.md
# Below the work folder each seat has what would be the root of its own machine.
mkdir -m 711 "$work"
chmod 711 "$2"
cd "$work"
export ESCROW_CONFIG_DIR=$work/officers
users=()

fail() { echo "five.sh: $1" >&2; exit 1; }
step() { echo "   $1"; }
cleanup() {
    local code=$? n
    for n in 1 2 3 4 5; do (seat "$n" && systemctl stop escrow-node) >/dev/null 2>&1 || true; done
    if [ "$code" != 0 ]; then tail -n 5 "$work"/seat*/var/log/*.log "$work"/last.log 2>/dev/null || true; fi
    [ "${#users[@]}" = 0 ] || for n in "${users[@]}"; do userdel "$n" 2>/dev/null || true; done
}
trap cleanup EXIT

# What an operator's machine has and this one has not: systemctl, and sudo to the node's user.
mkdir shims
ln -s "$here/unit.py" shims/systemctl
ln -s "$here/sudo.sh" shims/sudo
ln -s "$bin/escrow" shims/escrow
export PATH=$work/shims:$PATH

# From here on, until another seat is named, this is the machine of that seat.
seat() {
    n=$1
    export DESTDIR=$work/seat$n ESCROW_NODE_USER
    if [ "$(id -u)" = 0 ]; then ESCROW_NODE_USER=escrow-$$-$n; else ESCROW_NODE_USER=$(id -un); fi
}

# Runs a block of the page; paths of a machine are below that seat's folder.
run() {
    local block
    block=$(awk -v mark="<!-- run: $1 -->" '$0 == mark { found = 1 } found && /^```$/ { exit } found && go { print } found && /^```sh$/ { go = 1 }' "$page")
    [ -n "$block" ] || fail "the page has no block $1"
    ran+=("$1")
    block=$(sed -E "s#(^|[ \"'=])/(etc|var)/#\1$DESTDIR/\2/#g; s#([ =]-?-?o|-u) escrow-node#\1 $ESCROW_NODE_USER#g; s#(^|[ /])deploy/#\1$project/deploy/#g" <<<"$block")
    bash -eu -c "$block" >last.log 2>&1 || { local code=$?; [ "$code" = "${2:-0}" ] || { cat last.log; fail "block $1 of docs/operations.md ended with $code"; }; return 0; }
    [ "${2:-0}" = 0 ] || fail "block $1 should have ended with ${2}"
}
ran=()
said() { grep -qF -- "$1" last.log || { cat last.log; fail "expected to read: $1"; }; }

member() { python3 -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
state_of() { seat "$1"; { sudo -u "$ESCROW_NODE_USER" escrow-node status 2>/dev/null || true; } | sed -n "s/^${2:-state}  *//p"; }
# Waits until a node says it; not a moment longer.
until_state() {
    for _ in $(seq 300); do [ "$(state_of "$1")" = "$2" ] && return; sleep 0.2; done
    seat "$1"; sudo -u "$ESCROW_NODE_USER" escrow-node status || true
    fail "node $1 is not $2 after a minute"
}

echo "   five seats are installed from deploy/, each for a user of its own"
[ "$(id -u)" = 0 ] || echo "   (not root: separate folders, one user)"
names=(- company-it counsel works-council trustee vendor)
operators=(- "ACME IT" "Outside counsel LLP" "ACME works council" "Trustee GmbH" "Messenger vendor Inc")
people=(- op-ines op-carl op-wanda op-tom op-vera)
jurisdictions=(- DE DE DE AT NL)
mapfile -t ports < <(python3 - <<'P'
import random, socket
held = []
while len(held) < 6:
    s = socket.socket()
    try:
        # Below those that the system gives to outgoing connections: a restarted node gets its port again.
        s.bind(("127.0.0.1", random.randrange(12000, 32000)))
        held.append(s)
    except OSError:
        s.close()
for s in held:
    print(s.getsockname()[1])
P
)
cp "$bin/escrow-node" escrow-node
for n in 1 2 3 4 5; do
    seat "$n"
    mkdir "$DESTDIR"
    [ "$(id -u)" != 0 ] || users+=("$ESCROW_NODE_USER")
    run install
    said "installed escrow-node"
    # What the page tells the operator to edit: the address, and here the folders of a machine that is a folder.
    sed -i -E "s#^listen = .*#listen = \"127.0.0.1:${ports[$n]}\"#; s#\"/(etc|var)/#\"$DESTDIR/\1/#" "$DESTDIR/etc/escrow-node/escrow-node.toml"
    export seat=$n name=${names[$n]} operator=${operators[$n]} person=${people[$n]} jurisdiction=${jurisdictions[$n]} url=https://127.0.0.1:${ports[$n]}
    run init
    said "Seat $n has its keys"
done

echo "   installed again: no key, passphrase or configuration is touched; another program is refused"
seat 1
sums() { (cd "$DESTDIR" && find etc var -type f -exec sha256sum {} + | sort); }
before=$(sums)
run install
[ "$(sums)" = "$before" ] || fail "install.sh changed something that existed"
(cat escrow-node; echo) >escrow-node-next && chmod +x escrow-node-next
if "$project/deploy/install.sh" --binary ./escrow-node-next >last.log 2>&1; then fail "install.sh replaced a program"; fi
said "use upgrade.sh"
if sudo -u "$ESCROW_NODE_USER" escrow-node init --org a.example --seat 1 --name a --operator a --operator-person a --jurisdiction DE --url https://a.example >last.log 2>&1; then fail "init overwrote keys"; fi
said "never overwrites"
if [ "$(id -u)" = 0 ]; then
    for file in etc/escrow-node/passphrase var/lib/escrow-node/seat.keys var/lib/escrow-node/seat.json; do
        if setpriv --reuid="$ESCROW_NODE_USER" --clear-groups --no-new-privs cat "$work/seat2/$file" >/dev/null 2>&1; then fail "seat 1's user can read seat 2's $file"; fi
    done
fi

echo "   the ceremony: keys, draft, two administrators, five acceptances"
run keys
awk '$0 == "<!-- file: charter.toml -->" { found = 1 } found && /^```$/ { exit } found && go { print } found && /^```toml$/ { go = 1 }' "$page" >charter.toml
run draft
said "unsigned draft"
run sign-first 5
said "1 of 2 administrators have signed"
run sign-second
said "2 of 2 administrators have signed"
digest=$(sed -n 's/.*digest \([0-9a-f]\{64\}\).*/\1/p' last.log)
export digest genesis=$digest
for n in 1 2 3 4 5; do
    seat "$n"
    if digest=$(tr 0-9a-f 1-9a-f0 <<<"$genesis") sudo -u "$ESCROW_NODE_USER" escrow-node charter accept "$(tr 0-9a-f 1-9a-f0 <<<"$genesis")" --file charter-1.json >/dev/null 2>&1; then fail "a digest that nobody read aloud was accepted"; fi
    run accept
    said "Accepted version 1 of the charter of acme.example ($genesis)"
done
if grep -qi demo last.log; then fail "this is a demo charter"; fi

echo "   start, by the unit's own command; nobody is READY alone"
# Seat 5 keeps its passphrase where the node's user cannot reach it: what starts it is the unit's credential.
[ "$(id -u)" != 0 ] || chown root:root "$work/seat5/etc/escrow-node/passphrase"
seat 1 && run start
until_state 1 UNPROVEN
for n in 2 3 4 5; do seat "$n" && run start; done
for n in 1 2 3 4 5; do until_state "$n" READY; done
seat 1 && run status
said "READY"
# The process is what the unit says.
pid=$(cat "$DESTDIR/run/escrow-node.service.pid")
grep -q '^Seccomp:	2' "/proc/$pid/status" || fail "no system call filter"
grep -q '^NoNewPrivs:	1' "/proc/$pid/status" || fail "new privileges are allowed"
grep -q '^Max core file size  *0 ' "/proc/$pid/limits" || fail "core dumps are allowed"
tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q -- "--passphrase-file $DESTDIR/run/credentials/escrow-node.service/passphrase run" || fail "the passphrase is not the unit's credential"
if tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qf "$DESTDIR/etc/escrow-node/passphrase"; then fail "the passphrase is in argv"; fi
if [ "$(id -u)" = 0 ]; then [ "$(stat -c %U "/proc/$pid")" = "$ESCROW_NODE_USER" ] || fail "the node runs as $(stat -c %U "/proc/$pid")"; fi

echo "   enrolment, consent, deposit of a small archive"
for who in ada ben rita rolf quinn lena dora sven erik; do
    escrow context add "$who" --charter charter-1.json --genesis "$genesis" --key "$who.key" --token-key token.key --directory "$work/directory.json" >/dev/null
done
grep lunch "$project/escrow-cli/src/demo/sample.jsonl" >messages.jsonl
escrow keygen device --subject u-piet.devries --name Piet --token-key token.key --out phone.key >/dev/null
escrow --context rita enrol phone.key.pub.json --subject u-piet.devries --name Piet --out enrol.json >/dev/null || [ $? = 5 ]
escrow --context rolf enrol --countersign enrol.json >last.log 2>&1 || { cat last.log; fail enrol; }
escrow context add piet --charter charter-1.json --genesis "$genesis" --key phone.key --token-key token.key --directory "$work/directory.json" >/dev/null
echo "Five parties hold your keys; a named slice can be read if Legal and the data protection officer agree." >notice.txt
escrow --context piet consent give --purpose internal-investigation --notice notice.txt >last.log 2>&1 || { cat last.log; fail consent; }
escrow --context piet archive seal messages.jsonl --dir archive >last.log 2>&1 || { cat last.log; fail seal; }
escrow --context piet deposit >last.log 2>&1 || { cat last.log; fail deposit; }
said "2 escrowed at every node"

# A matter, a request, two approvals, the release, and exactly the messages asked for.
release() {
    local name=$1 hash
    shift
    escrow --context quinn matter create "MAT-$name" --title "Lunch $name" >last.log 2>&1 || { cat last.log; fail "matter $name"; }
    escrow --context quinn request create --matter "MAT-$name" --thread b27a9e14 --from 2026-03-02 --to 2026-03-04 \
        --purpose internal-investigation --recipient erik >last.log 2>&1 || { cat last.log; fail "request $name"; }
    hash=$(escrow --context lena request list --waiting-for-me --output json | sed -n 's/.*"request_hash": "\(.*\)".*/\1/p')
    for who in lena dora; do escrow --context "$who" approve "$hash" --yes --request-hash "$hash" >last.log 2>&1 || { cat last.log; fail "approve $name"; }; done
    escrow --context erik release collect "$hash" --out "$name.replies" "$@" >last.log 2>&1 || { cat last.log; fail "collect $name"; }
    cp last.log "$name.log"
    escrow --context erik archive open "$name.replies" --archive archive --out "$name.jsonl" >last.log 2>&1 || { cat last.log; fail "open $name"; }
    cmp -s <(sort "$name.jsonl") <(sort messages.jsonl) || fail "release $name opened something else than what was sealed"
}
echo "   matter, request, two approvals, release, open: byte for byte"
release one

echo "   upgrade of node 2: the next version; one that ends at once; one that never is READY; an older one; back by hand"
seat 2
installed() { sha256sum <"$DESTDIR/usr/local/bin/escrow-node"; }
first=$(installed)
run upgrade
said "is READY; the one before is kept"
second=$(installed)
[ "$second" != "$first" ] || fail "nothing was upgraded"
until_state 2 READY
pretend() { printf '#!/bin/sh\n[ "$1" = --version ] && echo escrow-node %s && exit\n%s\n' "$1" "$2" >escrow-node-next; }
pretend 9.0.0 "exit 1"
run upgrade 1
said "is back and READY"
[ "$(installed)" = "$second" ] || fail "the version before is not back"
pretend 9.0.1 "exec sleep 1000"
if "$project/deploy/upgrade.sh" ./escrow-node-next --timeout 2 >last.log 2>&1; then fail "a node that is not READY counts as upgraded"; fi
said "not READY after 2 s"
said "is back and READY"
[ "$(installed)" = "$second" ] || fail "the version before is not back"
pretend 0.0.1 "exit 1"
run upgrade 1
said "is older than"
[ "$(installed)" = "$second" ] || fail "a refused version was installed"
run rollback
[ "$(installed)" = "$first" ] || fail "back by hand is not the first version"
until_state 2 READY

# What the node signed: log size and the digest of everything on disk but SQLite's shared memory.
count() { state_of "$1" log | cut -d' ' -f1; }

echo "   backup of node 3 while it runs; then the cluster goes on without knowing"
seat 3
export day=yesterday
run backup
[ -e "$DESTDIR/var/backups/escrow-node/yesterday/backup.json" ] || fail "no backup.json"
if find "$DESTDIR/var/backups/escrow-node" -name '*.keys' -o -name 'deposit-keys' | grep -q .; then fail "keys lie beside the database's backup"; fi
release two

echo "   a drill of it changes nothing"
before=$(cd "$DESTDIR/var" && find backups lib -type f ! -name '*-shm' ! -name '*-wal' ! -name node.db -exec sha256sum {} + | sort)
size=$(member size <"$DESTDIR/var/backups/escrow-node/yesterday/backup.json")
run drill
said "$size"
[ "$(cd "$DESTDIR/var" && find backups lib -type f ! -name '*-shm' ! -name '*-wal' ! -name node.db -exec sha256sum {} + | sort)" = "$before" ] || fail "the drill changed something"

echo "   node 4 loses its disk after its newest backup, and is restored: READY"
seat 4
export day=newest
sudo systemctl stop escrow-node
run backup
run restore
until_state 4 READY

echo "   node 3 is restored from yesterday: ROLLBACK, and it signs nothing"
seat 3
export day=yesterday
run restore
until_state 3 ROLLBACK
run status 6
grep -q '^why  *.* size [0-9]' last.log || { cat last.log; fail "the reason is not said"; }
said "escrow-node new-log"
signed=$(count 3)
release three --all
grep -q "^4 replies" three.log || { cat three.log; fail "a node in ROLLBACK replied to a release"; }
[ "$(count 3)" = "$signed" ] || fail "a node in ROLLBACK appended"
[ "$(state_of 3)" = ROLLBACK ] || fail "ROLLBACK ended by itself"

echo "   the way out: a new log, the next charter, five acceptances, READY"
seat 3
export seat=3
run new-log
grep -q '"log_origin": "acme.example/seat-3/log/2"' seat-3.json || fail "no new log in seat-3.json"
if grep -q '"previous_log_head": null' seat-3.json; then fail "the new log does not name the old one's head"; fi
run successor
said "2 of 2 administrators have signed"
digest=$(sed -n 's/.*digest \([0-9a-f]\{64\}\).*/\1/p' last.log | tail -n 1)
[ "$digest" != "$genesis" ] || fail "no new version"
for n in 1 2 3 4 5; do
    seat "$n"
    run accept-next
    said "Accepted version 2"
    # A node is READY again when enough others are; the first ones wait for the rest.
done
for n in 1 2 3 4 5; do until_state "$n" READY; done

echo "   a release in which node 3 must take part: two others are down"
for n in 1 2; do (seat "$n" && systemctl stop escrow-node); done
release four
grep -q "^3 replies" four.log || { cat four.log; fail "node 3 did not take part"; }
for n in 1 2; do (seat "$n" && systemctl start escrow-node); done
for n in 1 2 3 4 5; do until_state "$n" READY; done

echo "   the evidence of the first release and of what came after verifies offline"
escrow --context quinn audit export --matter MAT-one --out bundle >last.log 2>&1 || { cat last.log; fail export; }
escrow verify bundle --charter-digest "$genesis" >last.log 2>&1 || { cat last.log; fail "the bundle does not verify"; }
said "OK"
[ -d bundle/data/logs/3/2 ] || fail "the second log of seat 3 is not in the bundle"

echo "   every block of the page was run"
for block in $(sed -n 's/^<!-- run: \(.*\) -->$/\1/p' "$page"); do
    grep -qxF "$block" <(printf '%s\n' "${ran[@]}") || fail "block $block of docs/operations.md is run by nobody"
done

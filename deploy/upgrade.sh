#!/bin/sh
# Puts another version of escrow-node in place and restarts the node. If the node is not READY in time, the
# version before comes back by itself. Keys, log and configuration are not touched.
#
#   deploy/upgrade.sh FILE [--timeout SECONDS] [--allow-older] [--root DIR]
#   deploy/upgrade.sh --rollback [--timeout SECONDS] [--root DIR]
#
#   FILE            the new program, whose checksum you have compared
#   --rollback      back to the version before the last upgrade
#   --timeout       how long the node may take to become READY [default: 180]
#   --allow-older   FILE may be of an older version than the installed one
#   --root DIR      where install.sh put everything [default: $DESTDIR, else /]
#
# Exit code: 0 the new version is READY; 1 nothing was changed, or the old version is back and READY;
# 2 the old version is back and NOT READY: look at once.
set -eu
root=${DESTDIR:-} new='' timeout=180 older=no rollback=no

fail() { echo "upgrade.sh: $1" >&2; exit "${2:-1}"; }
say() { echo "upgrade.sh: $1"; }

while [ $# -gt 0 ]; do
    case $1 in
        --timeout) timeout=${2:?}; shift 2 ;;
        --allow-older) older=yes; shift ;;
        --rollback) rollback=yes; shift ;;
        --root) root=${2:?}; shift 2 ;;
        -*) fail "unknown argument $1; the head of this file says what there is" ;;
        *) new=$1; shift ;;
    esac
done
program=$root/usr/local/bin/escrow-node config=$root/etc/escrow-node/escrow-node.toml
unit=$root/etc/systemd/system/escrow-node.service
[ -x "$program" ] && [ -e "$unit" ] || fail "no node is installed here; use install.sh"
user=$(sed -n 's/^User=//p' "$unit")

# The database must not be opened as root: SQLite would leave files that the node cannot write.
as_node() {
    if [ "$(id -u)" = 0 ]; then setpriv --reuid="$user" --regid="$user" --init-groups "$@"; else "$@"; fi
}
# A program that hangs must not make this one hang.
status() { as_node timeout 5 "$program" --config "$config" status 2>/dev/null || true; }
word() { sed -n "s/^$1  *//p"; }
version_of() { "$1" --version 2>/dev/null | sed -n 's/^escrow-node //p'; }

# True once the node says READY, and that it is the version wanted. Gives up early if it has died.
ready() {
    wanted=$1 until=$(($(date +%s) + timeout)) now=''
    while [ "$(date +%s)" -lt "$until" ]; do
        now=$(status)
        if [ "$(echo "$now" | word state)" = READY ] && [ "$(echo "$now" | word version)" = "$wanted" ]; then return 0; fi
        if systemctl is-failed --quiet escrow-node; then say "the node has stopped"; return 1; fi
        sleep 1
    done
    say "not READY after $timeout s: $(echo "$now" | word state) $(echo "$now" | word why)"
    return 1
}
restart() { systemctl reset-failed escrow-node 2>/dev/null || true; systemctl restart escrow-node; }

have=$(version_of "$program")
if [ "$rollback" = yes ]; then
    [ -z "$new" ] || fail "--rollback takes no file"
    [ -x "$program.previous" ] || fail "there is no version before this one"
    new=$program.previous older=yes
fi
[ -n "$new" ] || fail "name the new program"
next=$(version_of "$new")
[ -n "$next" ] || fail "$new does not run here, or is not escrow-node; nothing was changed"
cmp -s "$new" "$program" && fail "that program is installed already; nothing was changed"
if [ "$older" = no ] && [ "$have" != "$next" ] && [ "$(printf '%s\n' "$have" "$next" | sort -V | tail -n 1)" = "$have" ]; then
    fail "$next is older than $have; if that is what you want, add --allow-older; nothing was changed"
fi
# A node that is not READY now would make a good version look bad. Going back is always allowed.
if [ "$rollback" = no ] && [ "$(status | word state)" != READY ]; then
    fail "the node is not READY now; see to that first (escrow-node status); nothing was changed"
fi

# Both copies are complete before a name changes. If this script is killed, $program.old is the version before.
install -m 0755 "$new" "$program.new"
install -m 0755 "$program" "$program.old"
mv "$program.new" "$program"
say "$have -> $next; restarting"
if restart && ready "$next"; then
    mv "$program.old" "$program.previous"
    say "version $next is READY; the one before is kept as $program.previous"
    exit 0
fi
say "going back to $have"
install -m 0755 "$program" "$program.rejected"
mv "$program.old" "$program"
# However impatient the upgrade was: to say wrongly that the old version fails too would be worse.
[ "$timeout" -ge 180 ] || timeout=180
if restart && ready "$have"; then
    fail "version $next did not become READY and is kept as $program.rejected; $have is back and READY"
fi
fail "version $have is back but NOT READY; journalctl -u escrow-node says why" 2

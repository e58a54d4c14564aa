#!/bin/sh
# Installs one escrow node on this machine: program, user, folders, sample configuration, passphrase, unit.
# Run it again as often as you like: it never overwrites a key, a passphrase or a configuration, and
# another program than the installed one is upgrade.sh's business.
#
#   deploy/install.sh --binary FILE [--root DIR] [--user NAME]
#
#   --binary FILE   the program, built or downloaded, whose checksum you have compared
#   --root DIR      put everything below DIR instead of / (packages, tests) [default: $DESTDIR]
#   --user NAME     system user of the node [default: $ESCROW_NODE_USER, else escrow-node]
set -eu
umask 022
here=$(cd "$(dirname "$0")" && pwd)
root=${DESTDIR:-} user=${ESCROW_NODE_USER:-escrow-node} binary=

fail() { echo "install.sh: $1" >&2; exit 1; }
say() { echo "install.sh: $1"; }

while [ $# -gt 0 ]; do
    case $1 in
        --binary) binary=${2:?}; shift 2 ;;
        --root) root=${2:?}; shift 2 ;;
        --user) user=${2:?}; shift 2 ;;
        *) fail "unknown argument $1; the head of this file says what there is" ;;
    esac
done
[ -n "$binary" ] || fail "name the program with --binary FILE"
# A bad program is found here, not at the first start.
version=$("$binary" --version 2>/dev/null) || fail "$binary does not run on this machine"
case $version in "escrow-node "*) ;; *) fail "$binary is not escrow-node: it says '$version'" ;; esac

config=$root/etc/escrow-node state=$root/var/lib/escrow-node
program=$root/usr/local/bin/escrow-node unit=$root/etc/systemd/system/escrow-node.service

if [ "$(id -u)" = 0 ]; then
    own() { chown "$1" "$2"; }
    if ! id "$user" >/dev/null 2>&1; then
        useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$user"
        say "made the user $user"
    fi
elif [ -n "$root" ]; then
    own() { :; }
    say "not root: everything will belong to $(id -un)"
else
    fail "run it as root, or with --root DIR"
fi

if [ ! -e "$program" ]; then
    mkdir -p "$(dirname "$program")"
    install -m 0755 "$binary" "$program"
    say "installed $version"
elif ! cmp -s "$binary" "$program"; then
    fail "$program is another program ($("$program" --version 2>/dev/null || echo unknown)); use upgrade.sh"
fi

mkdir -p "$config" "$state" "$(dirname "$unit")"
chmod 0750 "$config" && own "root:$user" "$config"
chmod 0700 "$state" && own "$user:$user" "$state"

if [ ! -e "$config/escrow-node.toml" ]; then
    install -m 0644 "$here/escrow-node.toml" "$config/escrow-node.toml"
    say "sample configuration: $config/escrow-node.toml; read it and set what is yours"
fi
if [ ! -e "$config/passphrase" ]; then
    # 192 bits; nobody has to remember it, but a copy on paper or another medium is what a restore needs.
    (umask 077 && od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$config/passphrase.new" && echo >>"$config/passphrase.new")
    chmod 0400 "$config/passphrase.new" && own "$user:$user" "$config/passphrase.new"
    mv "$config/passphrase.new" "$config/passphrase"
    say "new passphrase: $config/passphrase; copy it to a medium that holds no backup of this node"
fi

sed "s/^User=.*/User=$user/; s/^Group=.*/Group=$user/" "$here/escrow-node.service" >"$unit.new"
chmod 0644 "$unit.new"
if cmp -s "$unit.new" "$unit"; then rm "$unit.new"; else mv "$unit.new" "$unit" && say "unit: $unit"; fi
systemctl daemon-reload 2>/dev/null || say "systemctl does not answer here: run 'systemctl daemon-reload' on the machine itself"

if [ -e "$state/seat.keys" ]; then
    say "this seat has its keys; nothing of them was touched"
else
    say "next: escrow-node init, as docs/operations.md says"
fi

#!/usr/bin/env bash
# `sudo` for five.sh: the node's user is this seat's user, and `escrow-node` is this seat's program with its
# configuration. Where the test does not run as root there is one user, and nobody to change to.
set -eu
user=
if [ "$1" = -u ]; then user=$2; shift 2; fi
if [ "$1" = escrow-node ]; then
    shift
    set -- "$DESTDIR/usr/local/bin/escrow-node" --config "$DESTDIR/etc/escrow-node/escrow-node.toml" "$@"
fi
[ -z "$user" ] || [ "$(id -u)" != 0 ] || exec setpriv --reuid="$user" --regid="$user" --init-groups --no-new-privs "$@"
exec "$@"

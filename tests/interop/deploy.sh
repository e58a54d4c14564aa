#!/usr/bin/env bash
# deploy/ before tools that we did not write: systemd-analyze, promtool, shellcheck, a YAML reader.
# Usage: deploy.sh BIN WORK PYTHON (with PyYAML). Needs systemd-analyze, promtool and shellcheck in PATH.
set -euo pipefail
bin=$1 work=$2/deploy python=$3
cd "$(dirname "$0")/../.."
mkdir "$work"
fail() { echo "deploy.sh: $1" >&2; exit 1; }

# Quiet, and a success. The program is where this machine has it.
judge() { systemd-analyze verify --man=no "$1" 2>&1; }
sed "s#/usr/local/bin/escrow-node#$bin/escrow-node#" deploy/escrow-node.service >"$work/escrow-node.service"
said=$(judge "$work/escrow-node.service") && [ -z "$said" ] || fail "systemd-analyze verify: $said"
mkdir "$work/bad"
sed 's/^ProtectSystem=/ProtectSystm=/' "$work/escrow-node.service" >"$work/bad/escrow-node.service"
[ -n "$(judge "$work/bad/escrow-node.service" || true)" ] || fail "systemd-analyze verify would not notice a misspelt setting"
echo "   systemd-analyze verify: clean"

# In tenths; a unit without any hardening has 96.
exposure() { systemd-analyze security --offline=true --no-pager --threshold="$2" "$1" >"$work/security.log" 2>&1; }
exposure "$work/escrow-node.service" 15 || { tail -n 3 "$work/security.log"; fail "systemd-analyze security: more exposed than 1.5"; }
level=$(sed -n 's/.*Overall exposure level[^:]*: \([0-9.]* [A-Z]*\).*/\1/p' "$work/security.log")
sed -E '/^(Protect|Private|Restrict|SystemCall|Capability|NoNew|Memory|Lock)/d' "$work/escrow-node.service" >"$work/bad/escrow-node.service"
if exposure "$work/bad/escrow-node.service" 15; then fail "systemd-analyze security would not notice that hardening is gone"; fi
echo "   systemd-analyze security: $level"

cp deploy/alerts.yml tests/interop/alerts.test.yml "$work"
(cd "$work" && promtool check rules alerts.yml && promtool test rules alerts.test.yml) >"$work/promtool.log" 2>&1 || { cat "$work/promtool.log"; fail "promtool"; }
sed -i 's/escrow_ready == 0/escrow_ready == 2/' "$work/alerts.yml"
if (cd "$work" && promtool test rules alerts.test.yml) >/dev/null 2>&1; then fail "the alerts' tests would not notice a wrong rule"; fi
echo "   promtool: rules are valid, and each alert fires on what it is for"

# SC2024: the only sudo here is sudo.sh.
shellcheck --severity=warning --exclude=SC2024 deploy/*.sh tests/interop/five.sh tests/interop/deploy.sh tests/interop/sudo.sh
"$python" tests/interop/deploy.py "$PWD" "$bin"

#!/usr/bin/env bash
# Summary: sets up what the tests need on a bare Debian machine, then runs every check and every test.
# Usage:   scripts/test.sh [--dry-run] [PYTEST ARGUMENTS …]     e.g. scripts/test.sh tests/unit -k decide
set -euo pipefail
# shellcheck source=scripts/lib/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/environment.sh"

case "${1:-}" in
  -h | --help) sed -n '2,3s/^# //p' "$0"; exit 0 ;;
  --dry-run) DRY_RUN=1; shift ;;
esac
cd "$ROOT"

ensure_venv hf,demo,dev
ensure_jdk
ensure_jar
command -v curl >/dev/null || apt_install "curl is missing (the runbooks use it)" curl
if ! command -v prometheus >/dev/null || ! command -v prometheus-alertmanager >/dev/null; then
  apt_install "Prometheus is missing (alerts are tested with the real one)" prometheus prometheus-alertmanager
fi

# Everything the tests write goes here and is gone afterwards.
scratch=$(mktemp -d "${TMPDIR:-/tmp}/ts-rollout-test.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

if [[ $# -eq 0 ]]; then
  run env VIRTUAL_ENV="$VENV" bash scripts/check.sh
  # Two processes, each file in one of them: tests on a real server wait more than they compute.
  set -- -n 2 --dist loadfile
fi
# HF_HUB_OFFLINE: no test may reach for a model hub.
run env TMPDIR="$scratch" HF_HUB_OFFLINE=1 PATH="$VENV/bin:$PATH" \
  "$VENV/bin/python" -m pytest -p no:cacheprovider --basetemp="$scratch/pytest" "$@"

#!/usr/bin/env bash
# Summary: every static check: ruff, mypy, import-linter, shellcheck, javac -Xlint -Werror.
# Usage:   scripts/check.sh [--dry-run]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case "${1:-}" in
  -h | --help) sed -n '2,3s/^# //p' "$0"; exit 0 ;;
  --dry-run) run() { printf '%s\n' "$*"; } ;;
  "") run() { printf '== %s\n' "$*" >&2; "$@"; } ;;
  *) sed -n '3s/^# //p' "$0" >&2; exit 2 ;;
esac

bin=${VIRTUAL_ENV:+$VIRTUAL_ENV/bin/}
if [[ -z "$bin" && -x .venv/bin/python ]]; then bin=.venv/bin/; fi

run "${bin}ruff" format --check .
run "${bin}ruff" check .
run "${bin}mypy"
run env PYTHONPATH=plugins "${bin}lint-imports" --no-cache
run "${bin}shellcheck" -x scripts/*.sh .ci/run
run "${bin}python" plugins/gateway/build_jar.py --output plugins/torchserve-rollout-gateway.jar

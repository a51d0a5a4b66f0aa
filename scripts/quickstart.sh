#!/usr/bin/env bash
# Summary: sets everything up, then rolls four real versions of a real LLM out on a real TorchServe, with users throughout.
# Usage:   scripts/quickstart.sh [--keep] [--dry-run]
#            --keep     leave TorchServe running afterwards (in demo/)
#            --dry-run  say what would be installed and run
# Exit:    0 only if all four rollouts ended as they must.
set -euo pipefail
# shellcheck source=scripts/lib/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/environment.sh"

keep=()
for argument in "$@"; do
  case "$argument" in
    -h | --help) sed -n '2,6s/^# //p' "$0"; exit 0 ;;
    --keep) keep=(--keep) ;;
    --dry-run) DRY_RUN=1 ;;
    *) sed -n '3s/^# //p' "$0" >&2; exit 2 ;;
  esac
done
cd "$ROOT"

ensure_venv hf,demo
ensure_jdk
ensure_jar
run env PATH="$VENV/bin:$PATH" "$VENV/bin/python" "$ROOT/scripts/demo/run.py" "${keep[@]}"

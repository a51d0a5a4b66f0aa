#!/usr/bin/env bash
# Summary: what every rollout does, and what the gateway and TorchServe make of it. Changes nothing.
# Usage:   scripts/runbook-status.sh [MODEL] [--dry-run]
# Run it in the directory TorchServe was started in. Uses ts-rollout where it is installed, else curl alone.
# Exit:    0 done · 1 failed · 2 usage · 5 server unreachable · 6 refused
set -euo pipefail
# shellcheck source=scripts/lib/runbook.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/runbook.sh"

model=""
while [[ $# -gt 0 ]]; do
  case "$1" in
    -h | --help) usage; exit 0 ;;
    --dry-run) DRY_RUN=1 ;;
    -*) usage >&2; exit "$EXIT_USAGE" ;;
    *) [[ -z "$model" ]] || { usage >&2; exit "$EXIT_USAGE"; }; name_or_die MODEL "$1"; model=$1 ;;
  esac
  shift
done

if has_cli; then
  code=0
  if [[ -n "$model" ]]; then cli explain "$model" || code=$?; else cli status || code=$?; fi
  # When the controller is away, the gateway and TorchServe still tell.
  [[ "$code" == "$EXIT_UNREACHABLE" ]] || exit "$code"
fi

if [[ -n "$DRY_RUN" ]]; then
  has_cli || say "would send: GET $(management_url)/rollouts${model:+/$model}, /traffic${model:+/$model}, /models${model:+/$model/all}"
  exit 0
fi

# show TITLE PATH: prints an answer of the management API under a title.
show() {
  call GET "$2"
  case "$STATUS" in
    404) printf '## %s: none\n' "$1" ;;
    503) printf '## %s\nthe controller is away; the lease returns traffic to stable. See docs/runbooks/controller-away.md\n' "$1" ;;
    *) check "$1"; printf '## %s\n%s\n' "$1" "$BODY" ;;
  esac
}

show "rollouts" "/rollouts${model:+/$model}"
show "traffic policies in force" "/traffic${model:+/$model}"
show "versions registered" "/models${model:+/$model/all}"

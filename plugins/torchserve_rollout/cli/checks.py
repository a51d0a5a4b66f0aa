"""What must be true of the machine and of the running servers; each check answers with a finding, none raises."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import requests

from torchserve_rollout.cli.controller_client import ControllerClient
from torchserve_rollout.cli.findings import Finding, bad, ok, warning
from torchserve_rollout.errors import RolloutError
from torchserve_rollout.settings import Settings
from torchserve_rollout.torchserve.tokens import KeyKind, Tokens

PINNED = {"torchserve": "0.12.0", "torch-model-archiver": "0.12.0"}
NEEDED = (
    "torch", "requests", "prometheus-client", "pyyaml", "pydantic", "typer", "rich", "fastapi", "uvicorn",
    "sqlalchemy", "alembic", "apprise", "tenacity", "scipy",
)  # fmt: skip
OLDEST_JAVA = 17
TIMEOUT_S = 3.0
FREE_BYTES_BAD = 500_000_000
FREE_BYTES_WARNING = 5_000_000_000
START = "start it in the directory of config/: torchserve --start --ncs --ts-config config/config.properties"


def check_machine(settings: Settings, plugins: Path) -> Iterator[Finding]:
    """What needs no server: packages, Java, the jar, the journal's directory, space."""
    yield _packages()
    yield _java()
    yield _jar(plugins)
    yield _journal(settings)
    yield from (_disk(path) for path in _distinct_mounts(settings.model_store, settings.state_dir))


def check_servers(settings: Settings) -> Iterator[Finding]:
    """Whether everything that should listen does, and answers to us."""
    addresses = {
        "TorchServe inference": settings.inference_url,
        "TorchServe management": settings.management_url,
        "TorchServe metrics": settings.metrics_url,
        "gateway": settings.gateway_url,
        "controller": settings.controller_url,
    }
    yield from (_port(name, url) for name, url in addresses.items())
    tokens = Tokens(settings.key_file, settings.management_url) if settings.is_token_required else None
    yield _tokens(settings, tokens)
    yield _get("gateway answers", f"{settings.gateway_url}/ping", tokens, KeyKind.INFERENCE, START)
    todo = "put the jar into plugins_path (ts-rollout init lays it out) and restart TorchServe"
    yield _get("traffic API answers", f"{settings.management_url}/traffic", tokens, KeyKind.MANAGEMENT, todo)
    yield _controller(settings)


def _packages() -> Finding:
    name = "python packages"
    wrong = []
    for package, wanted in PINNED.items():
        found = _version_of(package)
        if found != wanted:
            wrong.append(f"{package} is {found or 'missing'}, must be {wanted}")
    wrong += [f"{package} is missing" for package in NEEDED if _version_of(package) is None]
    if wrong:
        return bad(name, "; ".join(wrong), "pip install torchserve-rollout into the environment of TorchServe")
    return ok(name, ", ".join(f"{package} {_version_of(package)}" for package in (*PINNED, "torch")))


def _version_of(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _java() -> Finding:
    name, todo = "java", f"install a JDK {OLDEST_JAVA} or newer, e.g. apt-get install openjdk-17-jdk-headless"
    home = os.environ.get("JAVA_HOME")
    # TorchServe's launcher prefers JAVA_HOME too.
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if java is None:
        return bad(name, "not found in PATH, and JAVA_HOME is not set", todo)
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=20, check=True).stderr
    except (OSError, subprocess.SubprocessError) as error:
        return bad(name, f"{java} cannot be run: {error}", todo)
    match = re.search(r'version "(\d+)', said)
    if match is None or int(match[1]) < OLDEST_JAVA:
        return bad(name, f"{java} is {said.splitlines()[0] if said else 'silent'}", todo)
    return ok(name, f"{java}, {match[0].removeprefix('version ').strip(chr(34))}")


def _jar(plugins: Path) -> Finding:
    name = "gateway jar"
    jars = sorted(path.name for path in plugins.glob("*rollout*.jar"))
    if not jars:
        todo = "ts-rollout init . lays it out; in a checkout build it: python plugins/gateway/build_jar.py"
        return bad(name, f"none in {plugins}", todo)
    if len(jars) > 1:
        return bad(name, f"{plugins} holds {', '.join(jars)}: which one Java takes is chance", "keep the newest only")
    return ok(name, str(plugins / jars[0]))


def _journal(settings: Settings) -> Finding:
    name = "journal"
    if settings.database_url:
        return _database(settings.database_url)
    directory = settings.state_dir
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return bad(
            name, f"{directory} cannot be written", "make it writable for the user of TorchServe, or set rollout_state"
        )
    file = directory / "journal.db"
    if file.exists() and not os.access(file, os.W_OK):
        return bad(name, f"{file} cannot be written", "make it writable for the user of TorchServe")
    return ok(name, f"{file}, {'writable' if file.exists() else 'made at the first start'}")


def _database(url: str) -> Finding:
    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    name, todo = "journal", "check rollout_database, and that the database accepts this machine"
    try:
        shown = make_url(url).render_as_string(hide_password=True)
        with create_engine(url).connect() as connection:
            connection.execute(text("select 1"))
    except (SQLAlchemyError, ImportError) as error:
        return bad(name, f"the database of rollout_database does not answer ({type(error).__name__})", todo)
    return ok(name, shown)


def _distinct_mounts(*paths: Path) -> Iterator[Path]:
    devices = set()
    for path in paths:
        existing = next(each for each in (path, *path.parents) if each.exists())
        device = existing.stat().st_dev
        if device not in devices:
            devices.add(device)
            yield existing


def _disk(path: Path) -> Finding:
    name, free = "disk", shutil.disk_usage(path).free
    sentence = f"{free / 1e9:.1f} GB free at {path}"
    todo = "make room: TorchServe unpacks every archive it registers, and the journal needs to grow"
    if free < FREE_BYTES_BAD:
        return bad(name, sentence, todo)
    return warning(name, sentence, todo) if free < FREE_BYTES_WARNING else ok(name, sentence)


def _port(name: str, url: str) -> Finding:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((host, port), timeout=TIMEOUT_S).close()
    except OSError as error:
        return bad(f"{name} port", f"{host}:{port} does not accept connections: {error.strerror or error}", START)
    return ok(f"{name} port", f"{host}:{port} accepts connections")


def _tokens(settings: Settings, tokens: Tokens | None) -> Finding:
    name = "tokens"
    if tokens is None:
        return ok(name, "not asked for")
    try:
        tokens.incarnation()
    except RolloutError as error:
        return bad(name, error.message, error.hint)
    return ok(name, f"{settings.key_file} can be read")


def _get(name: str, url: str, tokens: Tokens | None, kind: KeyKind, todo: str) -> Finding:
    try:
        headers = {"Authorization": tokens.bearer(kind)} if tokens else {}
        status = requests.get(url, headers=headers, timeout=TIMEOUT_S).status_code
    except RolloutError as error:
        return bad(name, error.message, error.hint)
    except requests.RequestException as error:
        return bad(name, f"{url}: no answer ({type(error).__name__})", todo)
    return ok(name, f"{url}: 200") if status == 200 else bad(name, f"{url}: {status}", todo)


def _controller(settings: Settings) -> Finding:
    name = "controller answers"
    try:
        client = ControllerClient.of(settings)
        health, nodes = client.health(), client.nodes()
    except RolloutError as error:
        return bad(name, error.message, "see logs/ for why it did not start, or start it: ts-rollout serve")
    silent = [f"{node.node}: {node.error}" for node in nodes if not node.is_reachable]
    if silent:
        return bad(name, f"version {health.get('version')}, but it cannot reach {'; '.join(silent)}", START)
    return ok(name, f"version {health.get('version')}, {len(nodes)} node{'s' if len(nodes) != 1 else ''}")

"""Build the gateway's jar with nothing but a JDK and the installed TorchServe.

    python plugins/gateway/build_jar.py [--output JAR]    default: plugins/torchserve-rollout-gateway.jar
    python plugins/gateway/build_jar.py --test            compile and run the JUnit tests

The same sources give the same bytes. setup.py calls `build_jar`.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEFAULT_OUTPUT = HERE.parent / "torchserve-rollout-gateway.jar"
# 17 is what TorchServe 0.12 asks for. Annotation processors on TorchServe's class path claim none of our annotations:
# that is the only warning left out.
JAVAC_OPTIONS = ("--release", "17", "-encoding", "UTF-8", "-Xlint:all,-processing", "-Werror")
EARLIEST_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
MANIFEST = "Manifest-Version: 1.0\nImplementation-Title: torchserve-rollout gateway\n\n"


class BuildError(Exception):
    """The jar cannot be built; the message says what to do."""


def build_jar(output: Path = DEFAULT_OUTPUT) -> Path:
    """Compile the gateway and write its jar to `output`; return `output`.

    Raises:
        BuildError: no JDK, no TorchServe, or the sources do not compile.
    """
    with tempfile.TemporaryDirectory() as scratch:
        classes = Path(scratch)
        _compile(sorted((HERE / "src/main/java").rglob("*.java")), classes, [model_server_jar()])
        entries = {path.relative_to(classes).as_posix(): path for path in classes.rglob("*.class")}
        resources = HERE / "src/main/resources"
        entries |= {path.relative_to(resources).as_posix(): path for path in resources.rglob("*") if path.is_file()}
        output.parent.mkdir(parents=True, exist_ok=True)
        # A server that is running keeps the jar open: put the new one beside it and swap.
        partial = output.with_suffix(".partial")
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as jar:
            _add(jar, "META-INF/MANIFEST.MF", MANIFEST.encode())
            for name in sorted(entries):
                _add(jar, name, entries[name].read_bytes())
        partial.replace(output)
    return output


def run_tests() -> subprocess.CompletedProcess[str]:
    """Compile and run the JUnit tests (JUnit 4 is inside TorchServe's jar); return the finished process."""
    with tempfile.TemporaryDirectory() as scratch:
        classes = Path(scratch)
        server = model_server_jar()
        sources = sorted(HERE.glob("src/*/java/**/*.java"))
        _compile(sources, classes, [server])
        tests = [
            path.relative_to(HERE / "src/test/java").with_suffix("").as_posix().replace("/", ".")
            for path in sources
            if path.name.endswith("Test.java")
        ]
        command = [
            *(_jdk_tool("java"), "-ea", "-Dio.netty.leakDetection.level=paranoid"),
            *("-cp", _class_path([classes, server]), "org.junit.runner.JUnitCore", *tests),
        ]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=scratch)


def model_server_jar() -> Path:
    """TorchServe's jar, found without importing TorchServe (which would import torch)."""
    spec = importlib.util.find_spec("ts")
    for location in (spec.submodule_search_locations or []) if spec else []:
        jar = Path(location) / "frontend" / "model-server.jar"
        if jar.is_file():
            return jar
    raise BuildError(
        f"{sys.executable} has no TorchServe, whose model-server.jar the gateway is compiled against."
        " Run: python -m pip install torchserve==0.12.0"
    )


def _jdk_tool(name: str) -> str:
    home = os.environ.get("JAVA_HOME")
    candidates = [str(Path(home) / "bin" / name)] if home else []
    for candidate in [*candidates, name]:
        found = shutil.which(candidate)
        if found:
            return found
    raise BuildError(
        f"No {name}: neither in JAVA_HOME/bin nor on PATH. The gateway needs a JDK 17 or later."
        " On Debian and Ubuntu: apt-get install openjdk-17-jdk-headless"
    )


def _compile(sources: Iterable[Path], classes: Path, class_path: Iterable[Path]) -> None:
    command = [_jdk_tool("javac"), *JAVAC_OPTIONS, "-cp", _class_path(class_path), "-d", str(classes)]
    finished = subprocess.run([*command, *map(str, sources)], capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        raise BuildError(f"The gateway does not compile:\n{finished.stderr or finished.stdout}")


def _class_path(parts: Iterable[Path]) -> str:
    return os.pathsep.join(map(str, parts))


def _add(jar: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, EARLIEST_ZIP_TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    jar.writestr(entry, content)


def main() -> int:
    """Command line: build the jar, or run the tests."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, help="where to write the jar")
    parser.add_argument("--test", action="store_true", help="compile and run the JUnit tests instead")
    arguments = parser.parse_args()
    try:
        if arguments.test:
            finished = run_tests()
            sys.stdout.write(finished.stdout + finished.stderr)
            return finished.returncode
        sys.stdout.write(f"{build_jar(arguments.output)}\n")
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Policies changed thousands of times under load: how many requests failed, were doubled, or went where none allowed.

    python -m benchmarks.gateway.policy_flips [--flips 10000] [--hold-ms 5] [--users 4]

To be run in the root of the repository, with its `dev` extra. Starts a TorchServe of its own with three versions of a
model that answers at once. Exits 1 if there was a single such request.
"""

from __future__ import annotations

import argparse
import runpy
import sys
import tempfile
import time
from pathlib import Path

from tests.archives import ECHO_HANDLER, write_archive
from tests.policy_flips import flip
from tests.torchserve_process import TorchServeProcess

ROOT = Path(__file__).resolve().parents[2]
MODEL = "flipped"
VERSIONS = ("1.0", "2.0", "3.0")


def main() -> int:
    """Run it and print one line for each figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--flips", type=int, default=10_000, help="policies put in force one after the other")
    parser.add_argument("--hold-ms", type=float, default=5.0, help="how long each is left in force")
    parser.add_argument("--users", type=int, default=4, help="connections that ask without a pause")
    arguments = parser.parse_args()
    build_jar = runpy.run_path(str(ROOT / "plugins" / "gateway" / "build_jar.py"))["build_jar"]
    with tempfile.TemporaryDirectory() as plugins:
        build_jar(Path(plugins) / "gateway.jar")
        with TorchServeProcess(plugins_path=Path(plugins)) as server:
            for version in VERSIONS:
                server.register(write_archive(server.model_store, MODEL, version, ECHO_HANDLER))
            began = time.monotonic()
            hold_s = arguments.hold_ms / 1000
            flips = flip(server, MODEL, VERSIONS, flips=arguments.flips, hold_s=hold_s, users=arguments.users)
            took_s = time.monotonic() - began
            counted = int(server.metric("ts_rollout_attempts_total", model=MODEL))
    doubled = counted - len(flips.asked)
    figures = {
        "policies": len(flips.policies),
        "seconds": round(took_s, 1),
        "requests": len(flips.asked),
        "of these only one version was right for": flips.telling,
        "failed": len(flips.failed),
        "misrouted": len(flips.misrouted),
        "attempts beyond the requests": doubled,
    }
    sys.stdout.writelines(f"{name}: {value}\n" for name, value in figures.items())
    return 1 if flips.failed or flips.misrouted or doubled else 0


if __name__ == "__main__":
    sys.exit(main())

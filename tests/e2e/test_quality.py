"""A real language model (a tiny GPT-2, trained once per run): what status codes never show decides the rollout."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.product import MODEL, ROOT, Product
from tests.traffic import Traffic


@dataclass(frozen=True, slots=True)
class Gpt2:
    """The weights of two models by level, and a probe that tells them apart."""

    good: Path
    worse: Path
    probe: Path


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Gpt2:
    """Trained by the recipe; it prints ``level<TAB>directory`` lines."""
    folder = tmp_path_factory.mktemp("gpt2")
    recipe = [str(ROOT / "scripts" / "models" / "tiny_gpt2.py"), "--out", str(folder)]
    done = subprocess.run(
        [sys.executable, *recipe, "--level", "good", "--level", "worse"],
        check=True,
        timeout=240,
        stdout=subprocess.PIPE,
        text=True,
    )
    made = {level: Path(path) for level, path in (line.split("\t") for line in done.stdout.splitlines())}
    return Gpt2(made["good"], made["worse"], folder / "probe.yaml")


@pytest.fixture(scope="module")
def product(plugins_path: Path, gpt2: Gpt2) -> Iterator[Product]:
    """The good model is live as 1.0; the worse one is packaged as 2.0, the good one again as 3.0."""
    with Product(plugins_path) as running:
        for version, weights in (("1.0", gpt2.good), ("2.0", gpt2.worse), ("3.0", gpt2.good)):
            done = running.cli("package", MODEL, version, "--handler", "text_generation", "--weights", str(weights))
            assert done.code == 0, done.err
        assert running.cli("start", MODEL, "1.0").code == 0
        assert running.wait_for_end()["phase"] == "SUCCEEDED"
        yield running


def spec_with_quality(gpt2: Gpt2) -> dict[str, Any]:
    return {
        "steps": [{"weight": 20, "bake": "1s", "min_requests": 5}, {"weight": 50, "bake": "1s", "min_requests": 10}],
        "final_bake": "2s",
        "deadlines": {"candidate": "10s", "stable": "30s"},
        "alarms": [
            {"name": "errors", "signal": "error_rate", "worse_than_stable_by": 0.05, "min_samples": 5},
            {"name": "slow", "signal": "latency_p95", "max": "10s", "min_samples": 5},
            {
                "name": "quality",
                "signal": "probe_score",
                "probe": str(gpt2.probe),
                "worse_than_stable_by": 0.2,
                "min_samples": 20,
            },
        ],
    }


def users(product: Product) -> Traffic:
    return Traffic(
        product.server.url(product.server.ports.gateway, f"/predictions/{MODEL}"),
        lambda: product.server.inference_headers() | {"Content-Type": "application/json"},
        count=100_000,
        users=2,
        pause_s=0.1,
        bodies=[json.dumps({"prompt": "Licensed under the", "max_new_tokens": 8}).encode()],
    )


def test_a_candidate_that_answers_200_and_wrong_is_taken_back_by_the_quality_alarm(
    product: Product, gpt2: Gpt2
) -> None:
    with users(product) as traffic:
        product.start("2.0", spec_with_quality(gpt2))
        ended = product.wait_for_end(deadline_s=150)

    assert ended["phase"] == "ABORTED"
    assert ended["ended_by"] == "alarm:quality"
    assert "quality" in ended["reason"]
    verdicts = {alarm["name"]: alarm["verdict"] for alarm in ended["alarms"]}
    assert verdicts["quality"] == "FAIL"
    assert "FAIL" not in (verdicts["errors"], verdicts["slow"]), "the classic alarms saw nothing"
    assert product.default_version() == "1.0"
    assert traffic.log.failed == []


def test_a_candidate_that_is_as_good_is_promoted(product: Product, gpt2: Gpt2) -> None:
    with users(product) as traffic:
        product.start("3.0", spec_with_quality(gpt2))
        ended = product.wait_for_end(deadline_s=150)

    assert ended["phase"] == "SUCCEEDED", ended["reason"]
    assert product.default_version() == "3.0"
    assert traffic.log.failed == []


def test_explain_tells_why_the_worse_candidate_was_taken_back(product: Product) -> None:
    history = product.cli("history", MODEL, "--json").json()
    aborted = next(each for each in history if each["candidate"] == "2.0")
    told = product.cli("explain", aborted["id"])
    assert told.code == 0
    for part in ("quality", "probe_score", "2.0", "1.0"):
        assert part in told.out

"""The worked numbers in docs/analysis.md are what the judge does."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from torchserve_rollout.analysis.blocks import evenly
from torchserve_rollout.analysis.judge import judge
from torchserve_rollout.analysis.samples import Histogram, Measurement, Rate, Scores
from torchserve_rollout.analysis.verdict import Verdict
from torchserve_rollout.spec.schema import RolloutSpec

PAGE = (Path(__file__).parents[3] / "docs" / "analysis.md").read_text("utf-8")
ROWS = re.findall(r"^\| (.+?) \| (\d+) \|$", PAGE.split("<!-- figures -->")[1].split("<!-- end -->")[0], re.MULTILINE)
SPEC = RolloutSpec.model_validate(
    {
        "model": "m",
        "steps": [{"weight": 5.0}, {"weight": 25.0}, {"weight": 50.0}],
        "alarms": [
            {"name": "errors", "signal": "error_rate", "worse_than_stable_by": 0.01, "min_samples": 1},
            {"name": "slow", "signal": "latency_p95", "max": 2.0, "min_samples": 1},
            {"name": "quality", "signal": "probe_score", "worse_than_stable_by": 0.1, "probe": "p", "min_samples": 1},
        ],
    }
)


def expected(effect: str, n: int) -> tuple[str, Measurement]:
    """Key and measurement after ``n`` requests of the candidate, with exactly the expected number of bad ones."""
    first, *rest = (float(number) for number in re.findall(r"\d+(?:\.\d+)?", effect))
    if effect.startswith("error rate"):
        of_stable = round(n * 19)
        bad, bad_of_stable = round(n * first / 100), round(of_stable * rest[0] / 100)
        blocks = evenly(n, bad, of_stable, bad_of_stable)
        sides = Rate(bad, n), Rate(bad_of_stable, of_stable)
        return "error_rate", Measurement("error_rate", *sides, blocks=blocks)
    if effect.startswith("score"):
        good = [round(n * mean) for mean in (first, rest[0])]
        candidate, stable = (Scores(n, each, each) for each in good)
        return "probe_score:p", Measurement("probe_score", candidate, stable, blocks=evenly(n, good[0], n, good[1]))
    above = round(n * first / 100)
    return "latency_p95", Measurement("latency_p95", Histogram((1.0, 2.0, 4.0, math.inf), (0, n - above, above, 0)))


def fails(effect: str, n: int) -> bool:
    key, measured = expected(effect, n)
    return judge(SPEC, {key: measured}).verdict is Verdict.FAIL


def test_there_are_figures() -> None:
    assert len(ROWS) == 14


@pytest.mark.parametrize(("effect", "samples"), ROWS)
def test_a_figure_is_where_the_alarm_fires(effect: str, samples: str) -> None:
    assert fails(effect, int(samples))
    assert not fails(effect, int(int(samples) * 0.9) - 1 if int(samples) > 3 else 1)

"""``tokens_per_second``: generated tokens by the seconds the text generation handler took for them.

Not from the handler's histogram of speeds: TorchServe's buckets end at 10.
"""

from __future__ import annotations

from collections.abc import Sequence

from torchserve_rollout.analysis.samples import Amount, Measurement
from torchserve_rollout.model import Role, VersionName
from torchserve_rollout.signals.scrape import Increments
from torchserve_rollout.signals.sides import both
from torchserve_rollout.signals.source import Cohorts


class TokensPerSecond:
    """Whoever asked: the handler does not know who did."""

    name = "tokens_per_second"

    def measure(self, increments: Increments, cohorts: Cohorts) -> Measurement:
        """Both cohorts over the same window."""

        def speed(version: VersionName, roles: Sequence[Role]) -> Amount:
            labels = {"ModelName": cohorts.model, "ModelVersion": version}
            answers = round(increments.total("ts_rollout_llm_latency_seconds_count", labels))
            tokens = increments.total("ts_rollout_llm_generated_tokens_total", labels)
            return Amount(answers, tokens, increments.total("ts_rollout_llm_latency_seconds_sum", labels))

        return both(self.name, cohorts, speed)


SIGNAL = TokensPerSecond()

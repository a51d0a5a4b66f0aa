"""The whole way round: bad candidate, rule in Prometheus, Alertmanager, webhook, rollback; and Prometheus as a source.

Needs Debian's packages prometheus and prometheus-alertmanager.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.e2e.product import Product
from tests.torchserve_process import wait_until
from torchserve_rollout.errors import RolloutError
from torchserve_rollout.signals.prometheus import Prometheus

TOKEN = "a-token-of-its-own"
LOOPBACK = "127.0.0.1"
FAILED_ATTEMPTS = 'ts_rollout_attempts_total{role="candidate",outcome="model_error"}'


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        return int(listener.getsockname()[1])


@contextmanager
def running(name: str, directory: Path, config: dict[str, Any], *options: str) -> Iterator[str]:
    """A Debian daemon with this configuration; its address once it is ready."""
    directory.mkdir()
    (directory / "config.yml").write_text(yaml.safe_dump(config))
    url = f"{LOOPBACK}:{free_port()}"
    command = [name, "--config.file=config.yml", f"--web.listen-address={url}", "--storage.path=data", *options]
    command = [
        each.replace("--storage.path", "--storage.tsdb.path") if name == "prometheus" else each for each in command
    ]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
    try:
        wait_until(lambda: is_ready(f"http://{url}"), 30, f"{name} to be ready")
        yield f"http://{url}"
    finally:
        process.terminate()
        process.wait(10)


def is_ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/-/ready", timeout=2).ok
    except requests.ConnectionError:
        return False


def scraping(target: str, **more: Any) -> dict[str, Any]:
    jobs = [{"job_name": "torchserve", "static_configs": [{"targets": [target]}]}]
    return {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "scrape_configs": jobs, **more}


NEVER_BY_ITSELF = {
    "steps": [{"weight": 50, "bake": "10m"}],
    "breaker": {"consecutive": 0, "window_failures": 0},
    "replay_budget": {"share": 1},
    "alarms": [],
}


@pytest.fixture
def product(plugins_path: Path) -> Iterator[Product]:
    with Product(plugins_path, rollout_alerts_token="alerts.token", rollout_prometheus=f"http://{LOOPBACK}:1") as made:
        (made.home / "alerts.token").write_text(TOKEN)
        yield made


def test_an_alert_of_the_real_alertmanager_takes_a_bad_candidate_back(product: Product, tmp_path: Path) -> None:
    product.live("1.0")
    product.package("2.0")
    hook = {
        "url": product.server.url(product.server.ports.controller, "/api/v1/alerts"),
        "http_config": {"authorization": {"credentials": TOKEN}},
    }
    alertmanager = {
        "route": {"receiver": "rollouts", "group_wait": "0s", "group_interval": "1s", "group_by": ["..."]},
        "receivers": [{"name": "rollouts", "webhook_configs": [hook]}],
    }
    rule = {
        "alert": "CandidateFails",
        "expr": f"sum by (model, version) (increase({FAILED_ATTEMPTS}[20s])) > 1",
        "annotations": {"summary": "{{ $labels.version }} fails"},
    }
    rules = tmp_path / "rules.yml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "rollouts", "rules": [rule]}]}))
    options = ("--cluster.listen-address=",)
    with running("prometheus-alertmanager", tmp_path / "alertmanager", alertmanager, *options) as alertmanager_url:
        alerting = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager_url.removeprefix("http://")]}]}]}
        config = scraping(f"{LOOPBACK}:{product.server.ports.metrics}", alerting=alerting, rule_files=[str(rules)])
        with running("prometheus", tmp_path / "prometheus", config), product.traffic(100_000, users=2) as traffic:
            product.start("2.0", NEVER_BY_ITSELF)
            product.wait_for("weight 50", lambda seen: seen["weight_pct"] == 50)
            product.turn("2.0", "raise")
            ended = product.wait_for_end()
    assert (ended["phase"], ended["ended_by"]) == ("ABORTED", "alert:CandidateFails")
    assert "alert CandidateFails: 2.0 fails" in product.cli("explain").out
    assert traffic.log.failed == []


def test_a_prometheus_that_is_down_holds_the_rollout_and_does_not_turn_it_back(product: Product) -> None:
    product.live("1.0")
    product.package("2.0")
    alarm = {"name": "cost", "metric": {"prometheus": "up", "interval": "200ms"}, "max": 5}
    with product.traffic(100_000, users=2):
        product.start("2.0", NEVER_BY_ITSELF | {"alarms": [alarm], "source_timeout": "2s"})
        held = product.wait_for("the hold", lambda seen: seen["phase"] == "HELD")
    assert "cost: up could not be measured" in held["reason"]
    assert product.default_version() == "1.0"


def test_what_the_real_prometheus_says_is_a_number_or_a_reason(tmp_path: Path) -> None:
    port = free_port()
    with running("prometheus", tmp_path / "p", scraping(f"{LOOPBACK}:{port}")) as url:
        prometheus = Prometheus(url)
        wait_until(lambda: requests.get(f"{url}/api/v1/query?query=up", timeout=5).json()["data"]["result"], 20, "up")
        assert prometheus.value("up") == 0
        assert prometheus.value("scalar(up) + 2") == 2
        for query, said in [
            ("nothing_of_this_name", "no series"),
            ("up or vector(1)", "2 series"),
            ("0 / up", "nan"),
            ("up[5m]", "matrix"),
            ("sum(", "answered 400: "),
        ]:
            with pytest.raises(RolloutError, match=said):
                prometheus.value(query)

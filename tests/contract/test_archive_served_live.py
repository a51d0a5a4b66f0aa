"""Archives and handlers on a real TorchServe: both formats are served, and every version has its own metrics."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.torchserve_process import TorchServeProcess, wait_until
from tests.unit.handlers.worker import write_tiny_model
from torchserve_rollout.packaging.bundle import config_path
from torchserve_rollout.packaging.entry import Entry, archive_url
from torchserve_rollout.packaging.request import ArchiveFormat, PackageRequest
from torchserve_rollout.packaging.store import Catalogue

FAULTY = Path(__file__).resolve().parents[1] / "handlers" / "faulty.py"


class Served:
    """A server, its catalogue, and the file that turns the faulty version bad."""

    def __init__(self, server: TorchServeProcess, catalogue: Catalogue, fault_file: Path) -> None:
        self.server = server
        self.catalogue = catalogue
        self.fault_file = fault_file

    def register(self, entry: Entry, workers: int = 1) -> None:
        self.server.register(archive_url(entry), workers)

    def ask(self, model: str, version: str, body: Any, **options: Any) -> requests.Response:
        """On TorchServe's own listener: there is no gateway here."""
        url = self.server.url(self.server.ports.inference, f"/predictions/{model}/{version}")
        return requests.post(url, json=body, headers=self.server.inference_headers(), timeout=30, **options)

    def series(self, name: str, version: str) -> float | None:
        """The value of one of the handler's series, None while it is not there."""
        labels = f'{{ModelVersion="{version}",ModelName="tiny",Level="Model",Hostname="[^"]*",}}'
        found = re.search(rf"^ts_rollout_llm_{name}{labels} (\S+)$", self.server.metrics(), re.MULTILINE)
        return float(found.group(1)) if found else None

    def turn(self, **fault: Any) -> None:
        temporary = self.fault_file.with_suffix(".new")
        temporary.write_text(json.dumps(fault))
        temporary.replace(self.fault_file)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    catalogue = Catalogue(folder / "model-store")
    weights = write_tiny_model(folder / "weights")
    options = {"dtype": "float32", "torch_threads": 1}
    for version, archive_format in (("1.0", ArchiveFormat.MAR), ("2.0", ArchiveFormat.DIRECTORY)):
        catalogue.package(
            PackageRequest(
                model="tiny",
                version=version,
                handler="text_generation",
                weights=weights,
                config={"batchSize": 2, "maxBatchDelay": 20, "handler": options},
                format=archive_format,
            )
        )
    faulty = PackageRequest(
        model="faulty",
        version="1.0",
        handler=str(FAULTY),
        config={"handler": {"fault_file": str(folder / "fault.json")}},
    )
    catalogue.package(faulty)
    properties = {
        "metrics_mode": "prometheus",
        "metrics_config": str(config_path() / "metrics.yaml"),
        "model_metrics_auto_detect": "false",
    }
    with TorchServeProcess(model_store=catalogue.model_store, properties=properties) as server:
        served = Served(server, catalogue, folder / "fault.json")
        for entry in catalogue.list():
            served.register(entry)
        yield served


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_torchserve_serves_both_formats_by_their_bare_name(served: Served, version: str) -> None:
    answer = served.ask("tiny", version, {"prompt": "the quick brown", "max_new_tokens": 4})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["model_version"] == version


def test_every_version_has_its_own_series_on_the_metrics_port(served: Served) -> None:
    counts = {"1.0": 2, "2.0": 3}
    before = {version: served.series("requests_total", version) or 0 for version in counts}
    for version, count in counts.items():
        for _ in range(count):
            served.ask("tiny", version, {"prompt": "the quick brown", "max_new_tokens": 4}).raise_for_status()
    for version, count in counts.items():
        expected = before[version] + count

        def is_counted(version: str = version, expected: float = expected) -> bool:
            return served.series("requests_total", version) == expected

        wait_until(is_counted, 10, f"{expected} requests of {version} on the metrics port")
        for name in (
            "failures_total",
            "empty_answers_total",
            "repeated_answers_total",
            "prompt_tokens_total",
            "generated_tokens_total",
            "latency_seconds_count",
            "first_token_seconds_count",
            "tokens_per_second_sum",
        ):
            assert served.series(name, version) is not None, name
        assert served.series("latency_seconds_count", version) == expected


def test_torchserves_own_series_are_still_there(served: Served) -> None:
    served.ask("tiny", "1.0", {"prompt": "fox", "max_new_tokens": 1})
    text = served.server.metrics()
    for name in ("ts_inference_requests_total", "ts_queue_latency_microseconds", "Requests2XX", "WorkerLoadTime"):
        assert f"\n{name}{{" in text, name


def test_a_stream_arrives_as_json_lines(served: Served) -> None:
    body = {"prompt": "the quick brown", "max_new_tokens": 8}
    whole = served.ask("tiny", "1.0", body).json()
    streamed = served.ask("tiny", "1.0", {**body, "stream": True}, stream=True)
    lines = [json.loads(line) for line in streamed.iter_lines() if line]
    assert streamed.headers["transfer-encoding"] == "chunked"
    assert "".join(line["text"] for line in lines) == whole["text"]
    assert lines[-1]["done"] is True


def test_a_bad_request_gets_all_its_problems_as_400(served: Served) -> None:
    answer = served.ask("tiny", "2.0", {"promt": "x", "top_k": -1})
    assert answer.status_code == 400
    assert answer.json()["type"] == "BadRequestException"
    assert "promt" in answer.json()["message"]
    assert "top_k" in answer.json()["message"]


def test_serving_and_unregistering_leave_a_directory_archive_as_it_was(served: Served) -> None:
    entry = served.catalogue.get("tiny", "2.0")
    answer = served.server.management("DELETE", "/models/tiny/2.0")
    assert answer.status_code == 200
    Catalogue(served.catalogue.model_store).verify(entry)
    served.register(entry)
    assert served.ask("tiny", "2.0", {"prompt": "dog", "max_new_tokens": 1}).status_code == 200


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"mode": "raise"}, 503),
        ({"mode": "memory_error"}, 507),
        ({"mode": "status", "code": 418}, 418),
        ({"mode": "exit"}, 500),
    ],
)
def test_the_faulty_handler_turns_bad_and_well_again_while_it_is_live(
    served: Served, fault: dict[str, Any], status: int
) -> None:
    served.turn(mode="ok")
    served.server.wait_for_ready_workers("faulty", "1.0")
    assert served.ask("faulty", "1.0", {}).json()["version"] == "1.0"
    served.turn(**fault)
    assert served.ask("faulty", "1.0", {}).status_code == status
    served.turn(mode="ok")
    served.server.wait_for_ready_workers("faulty", "1.0")
    assert served.ask("faulty", "1.0", {}).status_code == 200


def test_the_faulty_handler_can_spare_probes(served: Served) -> None:
    served.turn(mode="raise", spare_probes=True)
    assert served.ask("faulty", "1.0", {"prompt": "x", "seed": 0}).status_code == 200
    assert served.ask("faulty", "1.0", {"prompt": "x"}).status_code == 503
    served.turn(mode="ok")

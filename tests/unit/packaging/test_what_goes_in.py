"""What a request may ask for, and that everything wrong with it is said at once."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.packaging.sources import request_for
from torchserve_rollout.errors import SpecError
from torchserve_rollout.packaging.bundle import config_path, handlers_path
from torchserve_rollout.packaging.handler_source import resolve_handler
from torchserve_rollout.packaging.model_config import complete_config
from torchserve_rollout.packaging.store import Catalogue


def read_config(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        values: dict[str, Any] = yaml.safe_load(archive.read("model-config.yaml"))
    return values


def test_every_problem_of_a_request_is_named_at_once(catalogue: Catalogue, sources: Path) -> None:
    (sources / "handler.py").write_text("class A: pass\nclass B: pass\n")
    request = request_for(
        sources,
        model="no spaces",
        version="all",
        weights=sources / "absent",
        extra_files=(sources / "nothing",),
        config={"minWorkers": 2, "batchSize": 0},
        requirements=sources / "requirements.txt",
        base_version="a..b",
    )
    with pytest.raises(SpecError) as refused:
        catalogue.package(request)
    assert [problem.path for problem in refused.value.problems] == [
        "model",
        "version",
        "base_version",
        "handler",
        "config.minWorkers",
        "config.batchSize",
        "weights",
        "extra_files[0]",
        "requirements",
    ]
    assert refused.value.exit_code == 2
    assert not catalogue.model_store.exists()


@pytest.mark.parametrize("version", ["", "all", "default", "a b", "1/2", "1:0", "-1", "x" * 65, "1.0\n", "1..2", "é"])
def test_versions_that_torchserve_cannot_serve_are_refused(catalogue: Catalogue, sources: Path, version: str) -> None:
    with pytest.raises(SpecError, match="version"):
        catalogue.package(request_for(sources, version=version))


def test_the_shipped_handler_brings_its_siblings_and_nothing_else() -> None:
    source, problems = resolve_handler("text_generation")
    assert problems == []
    assert source is not None
    assert source.entry == "text_generation.py"
    assert source.modules[0] == handlers_path() / "text_generation.py"
    assert {path.stem for path in source.modules} == {
        "text_generation",
        "answer_chunks",
        "answer_form",
        "answer_quality",
        "generation",
        "generation_metrics",
        "generation_options",
        "generation_request",
        "openai_form",
        "quantization",
    }


def test_every_shipped_module_is_packaged_by_some_handler_and_every_handler_resolves() -> None:
    """A handler is what no other shipped module imports."""
    modules = {path.stem for path in handlers_path().glob("*.py")}
    resolved = {name: resolve_handler(str(handlers_path() / f"{name}.py"))[0] for name in modules}
    imported = {path.stem for source in resolved.values() if source for path in source.modules[1:]}
    for name in modules - imported:
        assert resolve_handler(name)[1] == []


def test_an_own_handler_may_build_on_a_shipped_one(sources: Path) -> None:
    (sources / "mine.py").write_text(
        "from text_generation import TextGenerationHandler\nclass Mine(TextGenerationHandler): pass\n"
    )
    source, problems = resolve_handler(str(sources / "mine.py"))
    assert problems == []
    assert source is not None
    assert handlers_path() / "generation.py" in source.modules


def test_torchserves_own_handlers_go_by_name(catalogue: Catalogue, sources: Path) -> None:
    entry = catalogue.package(request_for(sources, handler="text_classifier"))
    assert not [name for name in entry.members if name.endswith(".py")]


def test_a_function_can_be_the_entry_point(sources: Path) -> None:
    (sources / "functions.py").write_text("class A: pass\nclass B: pass\ndef serve(data, context): return data\n")
    assert resolve_handler(f"{sources}/functions.py:serve")[1] == []
    (problem,) = resolve_handler(f"{sources}/functions.py:absent")[1]
    assert "defines no function 'absent'" in problem.message


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("def handle(data, context:\n    pass\n", "line 1"),
        ("return 1\n", "'return' outside function"),
        ("x = 1\n", "it defines neither"),
        ("class A: pass\nif True:\n    class B: pass\n", "it defines 2: A, B"),
    ],
)
def test_a_handler_that_torchserve_could_not_load_is_refused(sources: Path, code: str, complaint: str) -> None:
    (sources / "handler.py").write_text(code)
    (problem,) = resolve_handler(str(sources / "handler.py"))[1]
    assert complaint in str(problem)


def test_an_error_in_a_sibling_is_found_too(sources: Path) -> None:
    (sources / "answering.py").write_text("def broken(:\n")
    (problem,) = resolve_handler(str(sources / "handler.py"))[1]
    assert "answering.py line 1" in problem.message


def test_an_unknown_handler_name_says_which_there_are() -> None:
    source, (problem,) = resolve_handler("text_generaton")
    assert source is None
    assert "text_generation" in problem.hint
    assert "base_handler" in problem.hint


def test_timeouts_are_always_stated_and_the_callers_win(catalogue: Catalogue, sources: Path) -> None:
    plain = catalogue.package(request_for(sources))
    assert read_config(plain.path) == {"responseTimeout": 120, "startupTimeout": 120, "maxRetryTimeoutInSec": 300}
    (sources / "mine.yaml").write_text("responseTimeout: 7\nbatchSize: 4\nhandler: {dtype: float32}\n")
    own = catalogue.package(request_for(sources, version="2.0", config=sources / "mine.yaml"))
    assert read_config(own.path) == {
        "responseTimeout": 7,
        "startupTimeout": 120,
        "maxRetryTimeoutInSec": 300,
        "batchSize": 4,
        "handler": {"dtype": "float32"},
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("minWorkers: 1\nmaxWorkers: 4\n", "start workers by itself"),
        ("responseTimeout: -1\n", "whole number above 0, not -1"),
        ("startupTimeout: soon\n", "not 'soon'"),
        ("batchSize: true\n", "not True"),
        ("handler: fast\n", "key: value"),
        ("- a\n- b\n", "must hold key: value pairs, not a list"),
        ("a: [\n", "is no YAML"),
    ],
)
def test_a_config_that_would_bite_later_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "model-config.yaml").write_text(text)
    _, problems = complete_config(tmp_path / "model-config.yaml")
    assert any(complaint in str(problem) for problem in problems)


def test_two_sources_for_one_member_are_refused(catalogue: Catalogue, sources: Path) -> None:
    (sources / "other").mkdir()
    (sources / "other" / "config.json").write_text("{}")
    with pytest.raises(SpecError, match=r"config\.json: would come from two places"):
        catalogue.package(request_for(sources, extra_files=(sources / "other",)))
    with pytest.raises(SpecError, match=r"model-config\.yaml: would come from two places"):
        (sources / "weights" / "model-config.yaml").write_text("{}")
        catalogue.package(request_for(sources))


def test_links_that_lead_nowhere_or_to_directories_are_refused(catalogue: Catalogue, sources: Path) -> None:
    (sources / "weights" / "gone").symlink_to(sources / "absent")
    (sources / "weights" / "folder").symlink_to(sources)
    with pytest.raises(SpecError) as refused:
        catalogue.package(request_for(sources))
    assert len(refused.value.problems) == 2


def test_a_file_behind_a_link_is_packaged_as_a_file(catalogue: Catalogue, sources: Path) -> None:
    """The cache of Hugging Face is full of such links."""
    (sources / "blob").write_text("weights")
    (sources / "weights" / "model.bin").symlink_to(sources / "blob")
    assert "model.bin" in catalogue.package(request_for(sources)).members


def test_weights_in_one_file_are_the_serialized_file(catalogue: Catalogue, sources: Path) -> None:
    (sources / "model.pt").write_bytes(b"weights")
    entry = catalogue.package(request_for(sources, weights=sources / "model.pt", requirements=sources / "answering.py"))
    assert {"model.pt", "requirements.txt"} <= entry.members.keys()


def test_the_bundle_is_found_in_a_checkout() -> None:
    assert (handlers_path() / "text_generation.py").is_file()
    assert (config_path() / "metrics.yaml").is_file()

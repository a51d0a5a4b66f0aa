"""Model archives for tests, written directly: a zip of a handler module and TorchServe's MANIFEST.json."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path


def write_archive(store: Path, model: str, version: str, handler_source: str, model_config: str | None = None) -> str:
    """Write `<model>-<version>.mar` into `store` and return its file name.

    `handler_source` is a Python module with TorchServe's `handle(data, context)` entry point; `model_config` the text
    of a model-config.yaml.
    """
    description = {"modelName": model, "modelVersion": version, "handler": "handler.py"}
    files = {"handler.py": handler_source}
    if model_config is not None:
        description["configFile"] = "model-config.yaml"
        files["model-config.yaml"] = model_config
    manifest = {"runtime": "python", "model": description, "archiverVersion": "0.12.0"}
    files["MAR-INF/MANIFEST.json"] = json.dumps(manifest)
    name = f"{model}-{version}.mar"
    with zipfile.ZipFile(store / name, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return name


# Answers at once with the version that served; behaviour is asked for by the request body.
ECHO_HANDLER = """
def handle(data, context):
    if data is None:
        return None
    version = context.manifest["model"]["modelVersion"]
    return ["answer of " + version for _ in data]
"""

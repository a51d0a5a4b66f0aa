"""MAR-INF/MANIFEST.json: what TorchServe reads, in torch-model-archiver's own types, and beside it our seal.

TorchServe passes over keys it does not know; a handler finds ours in ``context.manifest["torchserve_rollout"]``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from model_archiver.manifest_components.manifest import Manifest, RuntimeType
from model_archiver.manifest_components.model import Model

from torchserve_rollout.packaging.contents import REQUIREMENTS_FILE, Contents
from torchserve_rollout.packaging.lineage import Lineage
from torchserve_rollout.packaging.model_config import CONFIG_FILE
from torchserve_rollout.packaging.request import PackageRequest

SEAL_KEY = "torchserve_rollout"
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class MemberDigest:
    """Size and SHA-256 (hex) of one member."""

    size_bytes: int
    sha256: str


Members = Mapping[str, MemberDigest]


def describe(request: PackageRequest, contents: Contents) -> dict[str, Any]:
    """The part of the manifest that TorchServe acts on, without the time."""
    model = Model(
        model_name=request.model,
        serialized_file=contents.serialized_file,
        handler=contents.handler_entry,
        model_version=request.version,
        requirements_file=REQUIREMENTS_FILE if contents.has_requirements else None,
        config_file=CONFIG_FILE,
    )
    manifest: dict[str, Any] = Manifest(runtime=RuntimeType.PYTHON.value, model=model).manifest_dict
    del manifest["createdOn"]
    return manifest


def content_digest(description: Mapping[str, Any], members: Members) -> str:
    """SHA-256 over what a version does: the manifest's model section, the runtime, every member but the manifest.

    Time, lineage and archive format do not count: two packagings of the same content have the same digest.
    """
    core = {
        "model": description.get("model"),
        "runtime": description.get("runtime"),
        "members": [[name, members[name].size_bytes, members[name].sha256] for name in sorted(members)],
    }
    return hashlib.sha256(_canonical(core)).hexdigest()


def write_manifest(description: Mapping[str, Any], members: Members, lineage: Lineage) -> bytes:
    """The text of MANIFEST.json. The seal covers everything else in it."""
    manifest = dict(description) | {
        "createdOn": lineage.created_at.strftime("%d/%m/%Y %H:%M:%S"),
        SEAL_KEY: {
            "schema": SCHEMA,
            "digest": content_digest(description, members),
            "lineage": lineage.to_json(),
            "members": {name: [each.size_bytes, each.sha256] for name, each in sorted(members.items())},
        },
    }
    manifest[SEAL_KEY]["seal"] = _seal_of(manifest)
    return json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def is_seal_intact(manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest that bears our key is as it was written."""
    return bool(manifest[SEAL_KEY].get("seal") == _seal_of(manifest))


def sealed_members(manifest: Mapping[str, Any]) -> dict[str, MemberDigest]:
    """The members the manifest says the archive has, without the manifest itself."""
    return {name: MemberDigest(size, sha256) for name, (size, sha256) in manifest[SEAL_KEY]["members"].items()}


def _seal_of(manifest: Mapping[str, Any]) -> str:
    unsealed = {key: value for key, value in manifest[SEAL_KEY].items() if key != "seal"}
    return hashlib.sha256(_canonical({**manifest, SEAL_KEY: unsealed})).hexdigest()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

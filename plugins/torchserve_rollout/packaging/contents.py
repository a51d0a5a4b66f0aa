"""What lies in an archive: every member with the place it comes from, checked before anything is written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from torchserve_rollout.errors import Problem, SpecError
from torchserve_rollout.packaging.handler_source import resolve_handler
from torchserve_rollout.packaging.model_config import CONFIG_FILE, complete_config
from torchserve_rollout.packaging.request import PackageRequest, name_problem

MANIFEST_DIRECTORY = "MAR-INF"
MANIFEST_FILE = f"{MANIFEST_DIRECTORY}/MANIFEST.json"
REQUIREMENTS_FILE = "requirements.txt"
# torch-model-archiver leaves these out too; hidden directories as well.
_UNWANTED_DIRECTORIES = frozenset({"__MACOSX", "__pycache__"})


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive. ``source`` is where its bytes are, or the bytes themselves."""

    name: str
    source: Path | bytes

    @property
    def size_bytes(self) -> int:
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size


@dataclass(frozen=True, slots=True)
class Contents:
    """The members of an archive in order of their names, and the parts the manifest points at."""

    members: tuple[Member, ...]
    handler_entry: str
    serialized_file: str | None
    has_requirements: bool
    weights: tuple[Member, ...]
    handler_path: Path | None

    @property
    def size_bytes(self) -> int:
        """Bytes of all members together."""
        return sum(member.size_bytes for member in self.members)

    @property
    def newest_mtime_s(self) -> int:
        """When the youngest input file was last changed, in seconds since the epoch; 0 without input files."""
        files = [member.source for member in self.members if isinstance(member.source, Path)]
        return max((int(file.stat().st_mtime) for file in files), default=0)


def gather(request: PackageRequest) -> Contents:
    """The contents of the archive that ``request`` asks for.

    Raises:
        SpecError: something is missing or wrong; carries all problems.
    """
    problems = _name_problems(request)
    handler, handler_problems = resolve_handler(request.handler)
    config, config_problems = complete_config(request.config)
    problems += handler_problems + config_problems

    modules = [Member(path.name, path) for path in handler.modules] if handler else []
    weights = list(_read_tree("weights", request.weights, problems)) if request.weights else []
    extras = [m for i, path in enumerate(request.extra_files) for m in _read_tree(f"extra_files[{i}]", path, problems)]
    generated = [Member(CONFIG_FILE, config)]
    if request.requirements:
        if request.requirements.is_file():
            generated.append(Member(REQUIREMENTS_FILE, request.requirements))
        else:
            problems.append(Problem("requirements", f"{request.requirements} is no file"))

    members = _without_clashes([*modules, *weights, *extras, *generated], problems)
    if problems:
        raise SpecError(f"package {request.model} {request.version}", problems)
    assert handler is not None  # noqa: S101 - no handler means there was a problem
    return Contents(
        members=members,
        handler_entry=handler.entry,
        serialized_file=request.weights.name if request.weights and request.weights.is_file() else None,
        has_requirements=request.requirements is not None,
        weights=tuple(sorted(weights, key=lambda member: member.name)),
        handler_path=handler.modules[0] if handler.modules else None,
    )


def _name_problems(request: PackageRequest) -> list[Problem]:
    problems = [
        Problem(field, problem)
        for field, kind, name in (
            ("model", "model", request.model),
            ("version", "version", request.version),
            ("base_version", "version", request.base_version),
        )
        if name is not None and (problem := name_problem(kind, name))
    ]
    if request.base_version == request.version:
        problems.append(Problem("base_version", "a version cannot be its own base"))
    return problems + [Problem("tags", "a tag needs a name") for key in request.tags if not key.strip()]


def _read_tree(field: str, path: Path, problems: list[Problem]) -> Iterator[Member]:
    """A file as it is, a directory by its content: both end up at the archive's root."""
    if path.is_file():
        yield Member(path.name, path)
        return
    if not path.is_dir():
        problems.append(Problem(field, f"{path} does not exist" if not path.exists() else f"{path} is no file"))
        return
    count = 0
    for root, directories, files in os.walk(path):
        linked = [name for name in directories if (Path(root) / name).is_symlink()]
        problems += [Problem(field, f"{Path(root) / name} is a link to a directory; name it itself") for name in linked]
        directories[:] = [d for d in directories if d not in _UNWANTED_DIRECTORIES and not d.startswith(".")]
        for name in files:
            file = Path(root) / name
            if not file.is_file():
                problems.append(Problem(field, f"{file} is no regular file, or a link that leads nowhere"))
                continue
            count += 1
            yield Member(PurePosixPath(file.relative_to(path)).as_posix(), file)
    if not count:
        problems.append(Problem(field, f"{path} holds no files"))


def _without_clashes(members: list[Member], problems: list[Problem]) -> tuple[Member, ...]:
    """The members sorted by name; two different files of one name would silently replace each other."""
    by_name: dict[str, Member] = {}
    for member in members:
        other = by_name.setdefault(member.name, member)
        if other is not member and not _is_same(other, member):
            problems.append(Problem(member.name, f"would come from two places: {_origin(other)} and {_origin(member)}"))
        if not _is_utf8(member.name):
            problems.append(Problem(repr(member.name), "the name is no UTF-8"))
        elif member.name.split("/")[0] == MANIFEST_DIRECTORY:
            problems.append(Problem(member.name, f"{MANIFEST_DIRECTORY} belongs to the archive itself"))
    return tuple(by_name[name] for name in sorted(by_name))


def _is_same(one: Member, other: Member) -> bool:
    return isinstance(one.source, Path) and isinstance(other.source, Path) and one.source.samefile(other.source)


def _origin(member: Member) -> str:
    return str(member.source) if isinstance(member.source, Path) else "what packaging writes itself"


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True

"""From the name of a handler to the Python modules that must travel with it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from model_archiver.model_packaging_utils import model_handlers

from torchserve_rollout.errors import Problem
from torchserve_rollout.packaging.bundle import handlers_path

_BLOCKS = (ast.If, ast.Try, ast.ExceptHandler, ast.With)


@dataclass(frozen=True, slots=True)
class HandlerSource:
    """A handler ready to package. ``entry`` is what the manifest names, ``modules`` the files, handler first."""

    entry: str
    modules: tuple[Path, ...]


def resolve_handler(handler: str) -> tuple[HandlerSource | None, list[Problem]]:
    """The modules of ``handler``, found through its imports, and everything wrong with them.

    A path may name an entry point function, as torch-model-archiver allows: ``my.py:entry``.
    """
    name, _, function = handler.partition(":")
    if "/" not in name and not name.endswith(".py"):
        shipped = handlers_path() / f"{name}.py"
        if not shipped.is_file():
            if name in model_handlers and not function:
                return HandlerSource(entry=name, modules=()), []
            known = sorted({path.stem for path in handlers_path().glob("*.py")} | set(model_handlers))
            hint = f"name a Python file (my_handler.py) or one of {', '.join(known)}"
            return None, [Problem("handler", f"there is no handler called {name!r}", hint)]
        path = shipped
    else:
        path = Path(name)
        if not path.is_file():
            return None, [Problem("handler", f"{path} is no file")]
    modules, problems = _with_siblings(path)
    if not problems:
        problems = _entry_problems(path, function)
    entry = path.name + (f":{function}" if function else "")
    return HandlerSource(entry=entry, modules=modules), problems


def _with_siblings(path: Path) -> tuple[tuple[Path, ...], list[Problem]]:
    """``path`` and the modules it imports, directly or not, from its own folder or from the shipped handlers."""
    folders = (path.parent, handlers_path())
    found: dict[str, Path] = {path.stem: path}
    problems: list[Problem] = []
    waiting = [path]
    while waiting:
        module = waiting.pop()
        try:
            tree = _parse(module)
        except (SyntaxError, ValueError) as error:
            line = f" line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
            problems.append(Problem("handler", f"{module}{line}: {error}"))
            continue
        for name in _imported_names(tree):
            sibling = next((f / f"{name}.py" for f in folders if (f / f"{name}.py").is_file()), None)
            if sibling is not None and name not in found:
                found[name] = sibling
                waiting.append(sibling)
    siblings = sorted(found.items(), key=lambda item: (item[1] is not path, item[0]))
    return tuple(file for _, file in siblings), problems


def _parse(module: Path) -> ast.Module:
    tree = ast.parse(module.read_bytes(), str(module))
    # What a parse lets through, such as a return outside of a function.
    compile(tree, str(module), "exec", dont_inherit=True)
    return tree


def _imported_names(tree: ast.Module) -> list[str]:
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name.partition(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module.partition(".")[0])
    return names


def _entry_problems(path: Path, function: str) -> list[Problem]:
    """TorchServe wants an entry point function, or exactly one class defined in the module."""
    classes: list[str] = []
    functions: set[str] = set()
    waiting: list[ast.AST] = [_parse(path)]
    while waiting:
        for node in ast.iter_child_nodes(waiting.pop()):
            if isinstance(node, ast.ClassDef):
                classes.append(node.name)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                functions.add(node.name)
            elif isinstance(node, _BLOCKS):
                waiting.append(node)
    if function:
        return [] if function in functions else [Problem("handler", f"{path} defines no function {function!r}")]
    if "handle" in functions or len(classes) == 1:
        return []
    found = f"it defines {len(classes)}: {', '.join(classes)}" if classes else "it defines neither"
    hint = "move helper classes into a module beside it; imported modules are packaged too"
    return [Problem("handler", f"{path} must define one class, or a function named handle; {found}", hint)]

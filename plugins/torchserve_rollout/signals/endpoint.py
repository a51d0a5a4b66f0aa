"""One number from any HTTP endpoint: a plain number, or one inside a JSON document."""

from __future__ import annotations

from typing import Any

from torchserve_rollout.errors import ServerError
from torchserve_rollout.signals.prometheus import Access, NoNumber, ask, finite


def number_at(url: str, path: str, access: Access | None = None) -> float:
    """The number that ``url`` answers, at the dotted ``path`` of a JSON document when one is given.

    Raises:
        NoNumber: something else stands there. ServerError: another status than 200. ServerUnreachable: no answer.
    """
    answer = ask(url, access or Access())
    if answer.status != 200:
        raise ServerError(f"{url} answered {answer.status}", status=answer.status)
    if not path:
        return finite(answer.text.strip(), url)
    try:
        found: Any = answer.json()
    except ValueError:
        raise NoNumber(f"{url} answered something else than JSON") from None
    for step in path.split("."):
        if isinstance(found, dict) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdigit() and int(step) < len(found):
            found = found[int(step)]
        else:
            raise NoNumber(f"{url} has nothing at {path}")
    if isinstance(found, bool):
        raise NoNumber(f"{url} has {found} at {path}, which is not a number")
    return finite(found, f"{url} at {path}")

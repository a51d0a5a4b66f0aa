"""``docs/state-machine.md``, written from the table: the page cannot say anything else than the code does."""

from __future__ import annotations

import inspect
import re

from torchserve_rollout.machine import phases
from torchserve_rollout.machine.phases import Phase, Trigger
from torchserve_rollout.machine.transitions import RESUMABLE, TABLE

_HEAD = """# The state machine of a rollout

Written from the table in `plugins/torchserve_rollout/machine/transitions.py`; a test fails when the two differ.
A phase is what is true of the world, not a to-do. Whatever dies, the next tick observes what is true and goes on.
"""


def state_machine_page() -> str:
    """The whole page as Markdown."""
    return "\n".join([_HEAD, _phases(), _diagram(), _table()])


def _phases() -> str:
    rows = [f"| `{phase}` | {_meaning(phase)} |" for phase in Phase]
    return "\n".join(["## Phases", "", "| phase | true of the world |", "| --- | --- |", *rows, ""])


def _diagram() -> str:
    lines = [f"    {start} --> {end}: {trigger}" for start, row in TABLE.items() for trigger, end in row.items()]
    ends = [f"    {phase} --> [*]" for phase in Phase if phase.is_terminal]
    head = ["## Diagram", "", "```mermaid", "stateDiagram-v2", f"    [*] --> {Phase.PENDING}"]
    return "\n".join([*head, *lines, *ends, "```", ""])


def _table() -> str:
    rows = [f"| `{start}` | {trigger} | `{end}` |" for start, row in TABLE.items() for trigger, end in row.items()]
    resumable = ", ".join(f"`{phase}`" for phase in Phase if phase in RESUMABLE)
    return "\n".join(
        [
            "## Transitions",
            "",
            "| from | trigger | to |",
            "| --- | --- | --- |",
            *rows,
            f"| `{Phase.HELD}` | {Trigger.OPERATOR_RESUME} | where it was held: {resumable} |",
            "",
            f"Nothing leaves {', '.join(f'`{phase}`' for phase in Phase if not TABLE[phase])}.",
            f"`{Phase.SUCCEEDED}` is an end too: it is left only by an alarm while the prior version is kept warm.",
            "Every pair that is not listed is refused and changes nothing.",
            "",
        ]
    )


def _meaning(phase: Phase) -> str:
    """The docstring that stands below the phase in the source."""
    found = re.search(rf'    {phase.name} = "[^"]+"\n    """(.*?)"""', inspect.getsource(phases), re.DOTALL)
    return " ".join(found.group(1).split()) if found else ""

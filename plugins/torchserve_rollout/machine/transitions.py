"""Where each phase leads: one table, and nothing else moves a rollout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from torchserve_rollout.errors import RolloutError
from torchserve_rollout.machine.phases import Phase, Trigger

P, T = Phase, Trigger

TABLE: Final[Mapping[Phase, Mapping[Trigger, Phase]]] = {
    P.PENDING: {
        T.STARTED: P.PREPARING,
        T.OPERATOR_ABORT: P.ABORTING,
        T.OPERATOR_ROLLBACK: P.ABORTING,
    },
    P.PREPARING: {
        T.PREPARED: P.PROGRESSING,
        T.STEPS_DONE: P.PROMOTING,  # there are no steps
        T.PREPARE_FAILED: P.ABORTING,
        T.OPERATOR_ABORT: P.ABORTING,
        T.OPERATOR_ROLLBACK: P.ABORTING,
        T.FENCED: P.HELD,
    },
    P.PROGRESSING: {
        T.STEP_PASSED: P.PROGRESSING,
        T.STEPS_DONE: P.PROMOTING,
        T.ALARM: P.ABORTING,
        T.PREPARE_FAILED: P.ABORTING,
        T.OPERATOR_PROMOTE: P.PROMOTING,
        T.OPERATOR_ABORT: P.ABORTING,
        T.OPERATOR_ROLLBACK: P.ABORTING,
        T.ALARM_HOLD: P.HELD,
        T.UNDECIDED: P.HELD,
        T.FENCED: P.HELD,
    },
    P.PROMOTING: {
        T.PROMOTED: P.BAKING,
        T.ALARM: P.ABORTING,
        T.PROMOTE_FAILED: P.ABORTING,
        T.OPERATOR_ABORT: P.ABORTING,
        T.OPERATOR_ROLLBACK: P.ROLLING_BACK,
        T.ALARM_HOLD: P.HELD,
        T.STUCK: P.HELD,
        T.FENCED: P.HELD,
    },
    P.BAKING: {
        T.BAKED: P.SUCCEEDED,
        T.OPERATOR_PROMOTE: P.BAKING,  # the bake ends now
        T.ALARM: P.ROLLING_BACK,
        T.PREPARE_FAILED: P.ROLLING_BACK,
        T.OPERATOR_ROLLBACK: P.ROLLING_BACK,
        T.ALARM_HOLD: P.HELD,
        T.UNDECIDED: P.HELD,
        T.FENCED: P.HELD,
    },
    P.ABORTING: {
        T.RETURNED: P.ABORTED,
        T.STABLE_SICK: P.HELD,
        T.STUCK: P.HELD,
        T.FENCED: P.HELD,
    },
    P.ROLLING_BACK: {
        T.RETURNED: P.ROLLED_BACK,
        T.STABLE_SICK: P.HELD,
        T.STUCK: P.HELD,
        T.FENCED: P.HELD,
    },
    P.HELD: {
        T.OPERATOR_PROMOTE: P.PROMOTING,
        T.OPERATOR_ABORT: P.ABORTING,
        T.OPERATOR_ROLLBACK: P.ROLLING_BACK,
        T.GIVEN_UP: P.FAILED,
    },
    P.SUCCEEDED: {
        T.ALARM: P.ROLLING_BACK,  # only while the prior version is kept warm
        T.OPERATOR_PROMOTE: P.SUCCEEDED,  # the prior version is let go now
    },
    P.ABORTED: {},
    P.ROLLED_BACK: {},
    P.FAILED: {},
}

# A held rollout goes on where it was held.
RESUMABLE: Final = frozenset(phase for phase, row in TABLE.items() if P.HELD in row.values())


class IllegalTransition(RolloutError):
    """The table has no such move; nothing was changed."""


def next_phase(phase: Phase, trigger: Trigger, held_in: Phase | None = None) -> Phase:
    """Where ``trigger`` leads from ``phase``. ``held_in`` is the phase a HELD rollout resumes.

    Raises:
        IllegalTransition: the table has no such move.
    """
    if phase is P.HELD and trigger is T.OPERATOR_RESUME and held_in is not None and held_in in RESUMABLE:
        return held_in
    try:
        return TABLE[phase][trigger]
    except KeyError:
        raise IllegalTransition(f"{trigger} is not possible in phase {phase}") from None


def is_legal(phase: Phase, trigger: Trigger) -> bool:
    """Whether the table has the move."""
    return trigger in TABLE[phase] or (phase is P.HELD and trigger is T.OPERATOR_RESUME)

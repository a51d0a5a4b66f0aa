"""The phases of a rollout. A phase is an assertion about the world, not a to-do."""

from __future__ import annotations

from torchserve_rollout.model import Word


class Phase(Word):
    """What is true of the world in each phase."""

    PENDING = "PENDING"
    """Accepted; nothing moved."""
    PREPARING = "PREPARING"
    """The candidate is being brought up; no user request reaches it."""
    PROGRESSING = "PROGRESSING"
    """The candidate's weight is that of the current step; alarms are armed."""
    PROMOTING = "PROMOTING"
    """The candidate is becoming the default on every node."""
    BAKING = "BAKING"
    """The candidate is the default and takes all traffic; the prior version is still loaded, alarms are armed."""
    ABORTING = "ABORTING"
    """Before promotion: traffic and default are returning to the stable version."""
    ROLLING_BACK = "ROLLING_BACK"
    """After promotion: traffic and default are returning to the prior version."""
    HELD = "HELD"
    """Frozen; a person is needed."""
    SUCCEEDED = "SUCCEEDED"
    """The candidate is the default and the stable version; alarms are armed while the prior version is kept warm."""
    ABORTED = "ABORTED"
    """Stopped before promotion; the stable version has all traffic."""
    ROLLED_BACK = "ROLLED_BACK"
    """Undone after promotion; the prior version is the default and has all traffic."""
    FAILED = "FAILED"
    """Given up by a person or for want of a version to return to."""

    @property
    def is_terminal(self) -> bool:
        """The rollout has ended. Nothing leaves this phase but a late alarm, and that only SUCCEEDED."""
        return self in TERMINAL

    @property
    def is_armed(self) -> bool:
        """Alarms can end the rollout here."""
        return self in (Phase.PROGRESSING, Phase.PROMOTING, Phase.BAKING)


TERMINAL = frozenset({Phase.SUCCEEDED, Phase.ABORTED, Phase.ROLLED_BACK, Phase.FAILED})


class Trigger(Word):
    """Why a phase is left. Only ``transitions.TABLE`` says where each leads."""

    STARTED = "started"
    PREPARED = "prepared"
    PREPARE_FAILED = "prepare_failed"
    STEP_PASSED = "step_passed"
    STEPS_DONE = "steps_done"
    ALARM = "alarm"
    ALARM_HOLD = "alarm_hold"
    STABLE_SICK = "stable_sick"
    UNDECIDED = "undecided"
    PROMOTED = "promoted"
    PROMOTE_FAILED = "promote_failed"
    BAKED = "baked"
    RETURNED = "returned"
    STUCK = "stuck"
    FENCED = "fenced"
    OPERATOR_PROMOTE = "operator_promote"
    OPERATOR_ABORT = "operator_abort"
    OPERATOR_ROLLBACK = "operator_rollback"
    OPERATOR_RESUME = "operator_resume"
    GIVEN_UP = "given_up"


class PauseReason(Word):
    """Why the rollout does not advance. A pause never stops an abort."""

    OPERATOR = "operator"
    ALARM = "alarm"

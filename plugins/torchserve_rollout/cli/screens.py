"""What the verbs show, built from views; nothing here prints."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from rich import box
from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from torchserve_rollout.analysis.verdict import Interval
from torchserve_rollout.cli.findings import Finding, Health
from torchserve_rollout.controller.views import (
    AlarmView,
    EventView,
    ExplanationView,
    NodeView,
    PairsView,
    ReplayView,
    RolloutView,
    VersionView,
)
from torchserve_rollout.units import format_duration, format_pct

STYLES = {
    "PASS": "green",
    "FAIL": "bold red",
    "INCONCLUSIVE": "yellow",
    "ERROR": "magenta",
    "SUCCEEDED": "bold green",
    "ABORTED": "bold red",
    "ROLLED_BACK": "bold red",
    "FAILED": "bold red",
    "HELD": "bold yellow",
    "ABORTING": "red",
    "ROLLING_BACK": "red",
}
BAR_WIDTH_CHARS = 30
EXCERPT_CHARS = 60


def table(*columns: str) -> Table:
    """An empty table in the product's one look."""
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def clock_time(at: datetime) -> str:
    """Time of day, UTC: ``12:03:07``."""
    return at.astimezone(timezone.utc).strftime("%H:%M:%S")


def day_time(at: datetime | None) -> str:
    """Date and time, UTC; a dash when there is none."""
    return at.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S") if at else "–"


def value(observed: float | None) -> str:
    """An observed value in few digits; a dash when there is no data."""
    return "–" if observed is None else f"{observed:.4g}"


def word(name: str) -> Text:
    """A phase or a verdict in its colour."""
    return Text(name, style=STYLES.get(name, ""))


def timeline_line(event: EventView, version: str) -> Text:
    """``12:03:07  2.0    5 %  PASS          the sentence``."""
    verdict = event.verdict or "–"
    line = Text(f"{clock_time(event.at)}  {version:<8} {format_pct(event.weight_pct):>7}  ")
    line.append(f"{verdict:<13}", style=STYLES.get(verdict, ""))
    line.append(event.sentence)
    return line


def alarms_table(alarms: Sequence[AlarmView]) -> Table:
    """Each alarm with the observed value of both sides."""
    made = table("alarm", "verdict", "candidate", "stable", "samples", "rule")
    for alarm in alarms:
        samples = f"{alarm.candidate_n} / {alarm.stable_n}"
        made.add_row(
            alarm.name, word(alarm.verdict), value(alarm.candidate), value(alarm.stable), samples, Text(alarm.rule)
        )
    return made


def headline(view: RolloutView) -> Text:
    """``assistant 1.0 → 2.0  PROGRESSING  step 1 of 3  25 %``."""
    line = Text(f"{view.model} {view.stable or 'nothing'} → {view.candidate}  ", style="bold")
    line.append_text(word(view.phase))
    if 0 <= view.step < view.steps:
        line.append(f"  step {view.step + 1} of {view.steps}")
    line.append(f"  {format_pct(view.weight_pct)}")
    if view.pause_reasons:
        line.append(f"  paused by {', '.join(sorted(view.pause_reasons))}", style="yellow")
    return line


def weight_bar(view: RolloutView) -> RenderableType:
    """The candidate's share of the traffic."""
    row = Table.grid(padding=(0, 1))
    row.add_row("candidate", ProgressBar(total=100, completed=view.weight_pct, width=BAR_WIDTH_CHARS))
    return row


def live_screen(view: RolloutView, events: Sequence[EventView], *, now: datetime, note: str, rows: int) -> Group:
    """The screen of ``watch`` on a terminal: at most ``rows`` lines of timeline."""
    since = format_duration(max(0.0, round((now - view.phase_since).total_seconds())))
    parts: list[RenderableType] = [headline(view), weight_bar(view), Text(f"for {since}: {view.reason}")]
    if view.alarms:
        parts.append(alarms_table(view.alarms))
    parts.extend(baseline_lines(view))
    parts.extend(timeline_line(event, view.candidate) for event in events[-rows:])
    if note:
        parts.append(Text(note, style="yellow"))
    return Group(*parts)


def baseline_lines(view: RolloutView) -> list[Text]:
    """The bounds that stable broke before the start, and what holds instead."""
    return [
        Text(f"{view.model} {each.alarm}: {each.allowed}, as stable had {value(each.value)} before the start", "yellow")
        for each in view.baselines
    ]


def ending(view: RolloutView) -> Text:
    """How it ended, in one line."""
    line = Text(f"{view.id} ", style="bold")
    line.append_text(word(view.phase))
    line.append(f": {view.reason}")
    return line


def status_screen(rollouts: Sequence[RolloutView], versions: Sequence[VersionView], nodes: Sequence[NodeView]) -> Group:
    """Everything on one screen: nodes, then one line a model."""
    fleet = table("node", "state")
    for node in nodes:
        fleet.add_row(node.node, Text("answers", "green") if node.is_reachable else Text(node.error, "bold red"))
    latest: dict[str, RolloutView] = {}
    for view in rollouts:
        latest.setdefault(view.model, view)
    names = sorted({*latest, *(version.model for version in versions if version.is_registered)})
    made = table("model", "default", "stable", "candidate", "weight", "phase", "since (UTC)", "reason")
    for name in names:
        default = next((v.version for v in versions if v.model == name and v.is_default), "–")
        made.add_row(name, default, *_rollout_cells(latest.get(name)))
    running = [latest[name] for name in names if name in latest and not latest[name].is_terminal]
    baselines = [line for view in running for line in baseline_lines(view)]
    return Group(fleet, made if names else Text("no model is registered"), *baselines)


def _rollout_cells(view: RolloutView | None) -> tuple[RenderableType, ...]:
    if view is None:
        return ("–", "–", "–", "–", "–", "no rollout yet")
    phase = word(view.phase)
    if view.pause_reasons:
        phase.append(" (paused)", style="yellow")
    weight = format_pct(view.weight_pct)
    return (view.stable or "–", view.candidate, weight, phase, day_time(view.phase_since), Text(view.reason))


def history_table(rollouts: Sequence[RolloutView]) -> Table:
    """Ended rollouts: who started them, how they ended, why."""
    made = table("id", "model", "from", "to", "started (UTC)", "by", "ended (UTC)", "how", "why")
    for view in rollouts:
        made.add_row(
            view.id,
            view.model,
            view.stable or "–",
            view.candidate,
            day_time(view.created_at),
            view.started_by,
            day_time(view.ended_at),
            word(view.phase),
            Text(view.reason),
        )
    return made


def versions_table(versions: Sequence[VersionView]) -> Table:
    """The catalogue, and what of it is registered."""
    made = table("model", "version", "digest", "size", "packaged (UTC)", "archive", "registered", "workers ready")
    for version in versions:
        registered = "default" if version.is_default else "yes" if version.is_registered else "–"
        size = decimal(version.size_bytes) if version.size_bytes else "–"
        workers = str(version.ready_workers) if version.is_registered else "–"
        made.add_row(
            version.model,
            version.version,
            version.digest.removeprefix("sha256:")[:12] or "–",
            size,
            day_time(version.packaged_at),
            version.archive or "–",
            registered,
            workers,
        )
    return made


def explanation(view: ExplanationView) -> Group:
    """The sentence first, then the alarm that decided, then the timeline."""
    parts: list[RenderableType] = [headline(view.rollout), Text(view.sentence, style="bold")]
    alarm = view.deciding_alarm
    if alarm is not None:
        facts = Table.grid(padding=(0, 2))
        facts.add_row("alarm", alarm.name)
        facts.add_row("signal", alarm.signal)
        facts.add_row("observed", f"candidate {value(alarm.candidate)}, stable {value(alarm.stable)}")
        if alarm.candidate_interval or alarm.stable_interval:
            sides = {"candidate": alarm.candidate_interval, "stable": alarm.stable_interval}
            facts.add_row("surely", ", ".join(f"{side} {_between(each)}" for side, each in sides.items() if each))
        facts.add_row("rule", Text(alarm.rule))
        facts.add_row("samples", f"candidate {alarm.candidate_n}, stable {alarm.stable_n}")
        facts.add_row("decided", f"{day_time(view.decided_at)} UTC")
        parts.append(facts)
    parts.extend(baseline_lines(view.rollout))
    parts.append(Text("timeline (UTC)", style="bold"))
    parts.extend(timeline_line(event, view.rollout.candidate) for event in view.timeline)
    return Group(*parts)


def _between(interval: Interval) -> str:
    low, high = interval
    return f"at least {value(low)}" if high is None else f"{value(low)} to {value(high)}"


def pairs_screen(view: PairsView) -> Group:
    """How many there were, then those that differ, then the others."""
    lost = f"; {view.lost} more were not fetched in time" if view.lost else ""
    parts: list[RenderableType] = [Text(f"{view.id}: {view.seen} mirrored requests{lost}", style="bold")]
    if view.pairs:
        made = table("at (UTC)", "request", "stable", "candidate", "stable said", "candidate said")
        for pair in sorted(view.pairs, key=lambda each: not each.is_odd):
            sides = (pair.stable, pair.candidate)
            style = STYLES["FAIL"] if pair.is_odd else ""
            answers = (Text(f"{side.status} {side.outcome} {format_duration(side.latency_s)}", style) for side in sides)
            made.add_row(clock_time(pair.at), pair.request_id, *answers, *(Text(_excerpt(side.body)) for side in sides))
        parts.append(made)
    return Group(*parts)


def _excerpt(body: str | None) -> str:
    """The beginning of an answer on one line; whatever a model says, it moves no cursor."""
    text = "".join(each if each.isprintable() else " " for each in (body or "–")[: EXCERPT_CHARS + 1])
    return text if len(text) <= EXCERPT_CHARS else f"{text[:EXCERPT_CHARS]}…"


def replayed(view: ReplayView) -> Group:
    """What came out, and each moment at which a verdict changed."""
    by = "another spec" if view.is_other_spec else "its own spec"
    parts: list[RenderableType] = [Text(f"{view.id} judged again by {by}, {view.looks} looks", style="bold")]
    if not view.is_other_spec:
        parts.append(Text("every verdict is as it was" if view.is_same else "verdicts differ from the journal"))
    parts += [
        Text(f"{day_time(each.at)} {each.judge} said: {each.recorded}\n  now: {each.replayed}")
        for each in view.differences
    ]
    parts.append(Text(f"outcome: {view.outcome}"))
    parts += [Text(f"{name}: nothing was measured for it in that rollout", style="yellow") for name in view.unmeasured]
    for each in view.verdicts:
        parts.append(Text(f"{day_time(each.at)}  {each.weight_pct:g} %  {each.verdict:<12}  {each.sentence}"))
    return Group(*parts)


def findings_list(findings: Sequence[Finding]) -> Text:
    """One line a finding; what to do stands below what is not well."""
    styles = {Health.OK: "green", Health.WARNING: "yellow", Health.BAD: "bold red"}
    width = max(len(finding.name) for finding in findings)
    text = Text()
    for finding in findings:
        text.append(f"{finding.health:<8}", style=styles[finding.health])
        text.append(f"{finding.name:<{width}}  {finding.sentence}\n")
        if finding.todo:
            text.append(f"{'':<8}{'':<{width}}  → {finding.todo}\n", style="bold")
    failed = sum(finding.health is Health.BAD for finding in findings)
    text.append(f"{failed} of {len(findings)} checks failed" if failed else f"all {len(findings)} checks passed")
    return text

"""The quickstart's main job: four versions of a real LLM on a real TorchServe, rolled out under real traffic.

Exit code 0 only if the four rollouts ended as they must and no user request failed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from home import MODEL, ROOT, DemoError, Home, RefusedError
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.rule import Rule
from rich.table import Table
from watch import Followed, TrafficMoves, follow

from traffic import Answer, Traffic, by_version

GATEWAY, MANAGEMENT, CONTROLLER = (f"http://127.0.0.1:{port}" for port in (8080, 8081, 8083))


@dataclass(frozen=True, slots=True)
class Chapter:
    """One version of the story and how its rollout must end."""

    version: str
    what: str
    must_end: tuple[str, ...]


STORY = (
    Chapter("1.0", "bf16, goes live as stable", ("SUCCEEDED",)),
    Chapter("2.0", "dynamic int8: 1.7 x faster, answers 200, silently wrong", ("ABORTED", "ROLLED_BACK")),
    Chapter("3.0", "weight-only int8: faster and as good", ("SUCCEEDED",)),
    Chapter("4.0", "raises on every request of a user", ("ABORTED",)),
)


@dataclass(frozen=True, slots=True)
class Result:
    """How one chapter went, as its users saw it."""

    chapter: Chapter
    followed: Followed
    answers: list[Answer]
    seconds: float
    first_bad_to_zero_s: float | None
    default_story: str

    @property
    def is_as_told(self) -> bool:
        return self.followed.rollout["phase"] in self.chapter.must_end


def make_versions(home: Home, console: Console) -> None:
    """Convert the model once, then package each version; both reuse what is there."""
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task("making the versions of SmolLM2-135M-Instruct", total=None)
        done = subprocess.run(
            [sys.executable, str(ROOT / "scripts" / "models" / "smollm2.py"), "--out", str(home.models)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DemoError(f"the versions could not be made:\n{done.stderr}")
        progress.update(task, total=1, completed=1)
        try:
            package_versions(home, progress)
        except RefusedError:
            # An earlier run's archives hold older handlers than this checkout's, and a packaged version never changes.
            home.forget_archives()
            package_versions(home, progress)


def package_versions(home: Home, progress: Progress) -> None:
    """Package each version of the story; what is packaged already with the same content stays."""
    for chapter in STORY:
        task = progress.add_task(f"packaging {MODEL} {chapter.version}: {chapter.what}", total=None)
        recipe = home.models / chapter.version
        home.run("package", MODEL, chapter.version, *(recipe / "package.args").read_text().split("\n"))
        progress.update(task, total=1, completed=1)


def roll_out(home: Home, chapter: Chapter, traffic: Traffic, console: Console, began: float) -> Result:
    """Start one rollout, follow it to its end, and measure what users saw."""
    console.print(Rule(f"[bold]{MODEL} {chapter.version}[/]: {chapter.what}", align="left"))
    started = time.time()
    with TrafficMoves(MANAGEMENT, lambda: home.token("management"), MODEL) as moves:
        home.run("start", MODEL, chapter.version, "--reason", "quickstart")
        followed = follow(CONTROLLER, lambda: home.token("management"), MODEL, console, began, deadline_s=240)
    answers = traffic.answers(since=started)
    return Result(
        chapter=chapter,
        followed=followed,
        answers=answers,
        seconds=time.time() - started,
        first_bad_to_zero_s=first_bad_to_zero_s(chapter, followed, answers, moves),
        default_story=default_story(followed, moves),
    )


def first_bad_to_zero_s(
    chapter: Chapter, followed: Followed, answers: list[Answer], moves: TrafficMoves
) -> float | None:
    """Seconds from the candidate's first bad answer (wrong, or replayed on stable) to its weight being 0."""
    if followed.decided_at is None:
        return None
    bad = [a.at for a in answers if a.is_failover or (a.version == chapter.version and not a.is_right)]
    if not bad:
        return None
    zero = moves.zero_since(chapter.version, after=bad[0])
    return None if zero is None else zero - bad[0]


def default_story(followed: Followed, moves: TrafficMoves) -> str:
    """When the default was back at the prior version, in words."""
    if followed.decided_at is None:
        return "moved to " + followed.rollout["candidate"]
    stable = followed.rollout["stable"]
    if all(version == stable for _, version in moves.defaults):
        return f"never left {stable}"
    back = moves.default_since(stable, after=followed.decided_at)
    return f"back at {stable} after {back - followed.decided_at:.2f} s" if back else f"NOT back at {stable}"


def summary(results: list[Result]) -> Table:
    """The closing table."""
    table = Table(title="What happened", title_justify="left")
    for column in ("version", "ended", "took", "requests", "answered by", "first bad answer to weight 0", "default"):
        table.add_column(column)
    for result in results:
        zero = result.first_bad_to_zero_s
        failed = sum(answer.is_failed for answer in result.answers)
        table.add_row(
            result.chapter.version,
            ("[green]" if result.is_as_told else "[bold red]") + result.followed.rollout["phase"] + "[/]",
            f"{result.seconds:.0f} s",
            f"{len(result.answers)}, {failed} failed" if result.answers else "none yet",
            ", ".join(f"{version} × {count}" for version, count in by_version(result.answers).items()) or "–",
            "–" if zero is None else f"{zero:.1f} s",
            result.default_story,
        )
    return table


def tell(home: Home, console: Console) -> bool:
    """The whole story; whether it ended as it must."""
    began = time.time()
    results = []
    traffic = Traffic(f"{GATEWAY}/predictions/{MODEL}", lambda: home.token("inference"))
    results.append(roll_out(home, STORY[0], traffic, console, began))
    with traffic:
        if not traffic.wait_for(4, deadline_s=60):
            raise DemoError("no answers from the gateway within 60 s; see demo/logs/ts_log.log")
        for chapter in STORY[1:]:
            results.append(roll_out(home, chapter, traffic, console, began))
    answers = traffic.answers()
    failed = [answer for answer in answers if answer.is_failed]
    console.print(summary(results))
    console.print(
        f"{len(answers)} requests sent, [bold]{len(failed)} failed[/], "
        f"{sum(answer.is_failover for answer in answers)} answered by stable for a failing candidate."
    )
    for answer in failed[:5]:
        console.print(f"[red]failed[/] {answer.status} {answer.text[:200]}")
    return not failed and all(result.is_as_told for result in results)


def main() -> int:
    """Run the demonstration; see the module docstring for the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave TorchServe running")
    parser.add_argument("--home", type=Path, default=ROOT / "demo", help="directory to run in (default: demo/)")
    arguments = parser.parse_args()
    # Not a terminal (a log, CI): wide enough that no table is squeezed.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 130)
    home = Home(arguments.home.resolve())
    began = time.monotonic()
    is_started = is_good = False
    try:
        home.prepare()
        make_versions(home, console)
        is_started = True
        home.start_torchserve()
        is_good = tell(home, console)
    except DemoError as error:
        console.print(f"[bold red]quickstart:[/] {error}")
    except KeyboardInterrupt:
        console.print("interrupted")
    finally:
        if is_started and not arguments.keep:
            home.stop_torchserve()
            home.forget_run()
    if is_good:
        console.print(f"[bold green]All four rollouts ended as they must[/], {time.monotonic() - began:.0f} s in all.")
        console.print("Next: the spec is config/rollouts/assistant.yaml, docs/ has the rest, and")
        if arguments.keep:
            command = Path(sys.executable).with_name("ts-rollout")
            console.print(f"  look around:  cd {home.directory} && {command} status", soft_wrap=True)
            console.print(f"  stop it:      {home.how_to_stop}", soft_wrap=True)
        else:
            console.print("  look around:  scripts/quickstart.sh --keep leaves it running")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())

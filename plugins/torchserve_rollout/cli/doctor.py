"""``doctor``: what is wrong here, and what to do about it."""

from __future__ import annotations

import typer

from torchserve_rollout.cli import render, screens
from torchserve_rollout.cli.checks import check_machine, check_servers
from torchserve_rollout.cli.config_checks import check_config
from torchserve_rollout.cli.findings import Finding, Health, bad
from torchserve_rollout.cli.options import AsJson, TsConfig, settings_of
from torchserve_rollout.settings import Settings, read_properties


def doctor(ctx: typer.Context, ts_config: TsConfig = None, as_json: AsJson = False) -> int:
    """Find what is wrong here, and say what to do about it.

    Packages, Java, jar, configuration, ports, tokens, servers, journal, disk. Exit 1 when a check fails.
    """
    settings = settings_of(ctx, ts_config)
    findings = list(_examine(settings))
    if as_json:
        render.data_json(
            [{"name": f.name, "health": f.health.value, "sentence": f.sentence, "todo": f.todo} for f in findings]
        )
    else:
        render.data(screens.findings_list(findings))
    return 1 if any(finding.health is Health.BAD for finding in findings) else 0


def _examine(settings: Settings) -> list[Finding]:
    if settings.config_file is None:
        todo = "run where TorchServe is started, or name the file with --ts-config; ts-rollout init makes one"
        findings = [bad("config.properties", f"none in {settings.home}", todo)]
        values: dict[str, str] = {}
    else:
        values = read_properties(settings.config_file.read_text("utf-8"))
        findings = list(check_config(values, settings.home))
    plugins = settings.home / values.get("plugins_path", "plugins")
    return [*check_machine(settings, plugins), *findings, *check_servers(settings)]

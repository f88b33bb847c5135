"""Ask before data leaves this machine for the first time in a run, and before replies of another
endpoint are used; say what is sent where.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeVar

import orjson
import typer

from tacos.cli.shared import console
from tacos.cli.shared.stopwatch import WATCH
from tacos.config import Settings
from tacos.errors import ConfigError, OfflineError, OtherEndpointError
from tacos.llm.ledger.location import has_ledger
from tacos.llm.transport.endpoint import Endpoint, resolve_endpoint
from tacos.pipeline.judging_mode import resolve_judging
from tacos.pipeline.model_factory import list_embedding_models, list_endpoint_models
from tacos.pipeline.plan import cut_plan, plan_steps
from tacos.store.artifacts import write_json
from tacos.store.files import make_folder

WHAT_IS_SENT = {
    "tag-sample": "a sample of the instructions (each user turn)",
    "tag": "every instruction (each user turn)",
    "match": "pairs of tags",
    "judge": "the instruction and response of every row that is compared",
    "grade": "instruction and response of every sample",
    "refine": "every selected row",
    "confirm": "every selected row and its rewrite",
    "check": "the instructions and tags of the cases to check",
    "calibrate": "instruction and responses of every labelled pair",
    "answer": "every question of the set, and the model's own answers to earlier turns",
    "grade-answers": "every question and answer of the evaluation",
    "prefer": "every instruction of the evaluation with both outputs",
    "duel": "every question of the evaluation with both models' answers",
    "normalise": "every distinct tag",
    "cluster": "every canonical tag",
}
WHAT_A_PILOT_SENDS = {
    "tag-sample": "of instructions (user turns)",
    "tag": "of instructions (user turns)",
    "match": "of pairs of tags",
    "judge": "of pairs of instructions and responses",
    "grade": "of instructions and responses",
}
EMBEDDING_STAGES = frozenset({"normalise", "cluster"})
"""Stages that ask for vectors, from the endpoint of the section `embed`."""

T = TypeVar("T")
StageModels = Mapping[str, tuple[str, ...]]
"""Stage -> the models that it asks."""


def run_with_consent(
    work: Callable[[Settings], T],
    settings: Settings,
    run: Path | None,
    *,
    yes: bool,
    models: StageModels,
    ledger: str | None = None,
    n_questions: int | None = None,
    may_be_known: bool = True,
) -> T:
    """Do what may send data, or use replies of another endpoint, once the user agrees to that.

    `work` is called with the settings; first without sending anything where `may_be_known`, since
    the `ledger` may answer every question; and once more where it stopped to have the user asked.
    `n_questions` is the most that a pilot asks each model of a stage. Raises as `ask_consent` does.
    """
    is_asked = needs_consent(settings, run, yes=yes, models=models)
    if is_asked and may_be_known and has_ledger(ledger):
        with suppress(OfflineError, OtherEndpointError):
            return work(_change_llm(settings, offline=True))
    ask_consent(
        settings,
        run,
        yes=yes,
        models=models,
        n_questions=n_questions,
    )

    def work_with(allowed: bool) -> T:
        return work(
            _change_llm(settings, other_endpoints=True) if allowed else settings
        )

    return use_other_endpoints(work_with, allowed=yes)


def use_other_endpoints(work: Callable[[bool], T], *, allowed: bool) -> T:
    """Do what may use replies of another endpoint; `work` is told whether that is allowed.

    Where it is not, and `work` stops at such replies, the user is asked. Raises
    `OtherEndpointError` if there is no terminal to ask on, `ConfigError` if the answer is no.
    """
    try:
        return work(allowed)
    except OtherEndpointError as error:
        if not console.has_terminal():
            raise
        console.errors.print(str(error), soft_wrap=True)
    with WATCH.pause():
        agrees = typer.confirm("Use these replies?")
    if not agrees:
        raise ConfigError(
            "stopped before these replies were used; name another ledger (--ledger) to ask anew"
        )
    return work(True)


def _change_llm(settings: Settings, **changes: bool) -> Settings:
    """Settings with changes to the section `llm`."""
    llm = settings.llm.model_copy(update=changes)
    return settings.model_copy(update={"llm": llm})


def list_asked_models(settings: Settings, until: str | None) -> StageModels:
    """The models that a selection asks up to the stage `until`, those of its encoders included.

    Raises `ConfigError` if there is no such stage.
    """
    models = {**list_endpoint_models(settings), **list_embedding_models(settings)}
    if until is None:
        return models
    steps = cut_plan(plan_steps(resolve_judging(settings)), until)
    stages = {step.stage.name for step in steps}
    return {stage: names for stage, names in models.items() if stage in stages}


def needs_consent(
    settings: Settings,
    run: Path | None,
    *,
    yes: bool,
    models: StageModels,
) -> bool:
    """Whether something may be sent that nobody has agreed to."""
    return bool(_find_unapproved(settings, run, yes=yes, models=models))


def ask_consent(
    settings: Settings,
    run: Path | None,
    *,
    yes: bool,
    models: StageModels,
    n_questions: int | None = None,
) -> None:
    """Ask for consent to send data to the endpoints of these models; `n_questions` at most to each,
    if given.

    It does not ask if the endpoint is this machine, if `yes` was given, if nothing is sent
    (`llm.offline`), or if this run has asked about the same stages before. Raises `ConfigError` if
    there is no terminal to ask on, if the answer is no, or if there is no key.
    """
    unapproved = _find_unapproved(settings, run, yes=yes, models=models)
    if not unapproved:
        return
    # Before anybody agrees to what cannot be done.
    for stages in unapproved.values():
        for stage in stages:
            _resolve_stage_endpoint(settings, stage).check_key()
    for host, stages in unapproved.items():
        _print_plan(host, stages, n_questions)
    _confirm_sending(" and ".join(unapproved))
    for host, stages in unapproved.items():
        _record_consent(run, host, stages)


def ask_push_consent(
    host: str,
    repository: str,
    *,
    public: bool,
    yes: bool,
) -> None:
    """Ask for consent to push rows to a hub; it does not ask if that is this machine, or with
    `yes`.

    Raises `ConfigError` if there is no terminal to ask on, or if the answer is no.
    """
    if yes or _is_local_host(host):
        return
    visibility = "public" if public else "private"
    console.errors.print(
        f"push: every exported row will be sent to {host}, {visibility} data set {repository}",
        soft_wrap=True,
    )
    _confirm_sending(host)


def _confirm_sending(hosts: str) -> None:
    """Ask after the plan was printed. Raises `ConfigError` unless the user agrees."""
    # The plan is printed all the same, so that a log says what --yes would allow.
    if not console.has_terminal():
        raise ConfigError(
            "cannot ask for confirmation (no terminal); "
            f"pass --yes to allow sending data to {hosts}"
        )
    with WATCH.pause():
        agrees = typer.confirm("Continue?")
    if not agrees:
        raise ConfigError("stopped before anything was sent")


def _find_unapproved(
    settings: Settings,
    run: Path | None,
    *,
    yes: bool,
    models: StageModels,
) -> dict[str, StageModels]:
    """Host -> stages that would send it data that nobody has agreed to, with their models."""
    if yes or settings.llm.offline:
        return {}
    return {
        host: stages
        for host, stages in _group_by_host(settings, models).items()
        if not (_is_local_host(host) or _has_consent(run, host, stages))
    }


def _group_by_host(
    settings: Settings,
    models: StageModels,
) -> dict[str, dict[str, tuple[str, ...]]]:
    """Host -> the stages that ask it, with their models."""
    by_host: dict[str, dict[str, tuple[str, ...]]] = {}
    for stage, names in models.items():
        # Consent is to a host: it is the same party at any of its paths and ports.
        host = _resolve_stage_endpoint(settings, stage).host
        stages = by_host.setdefault(host, {})
        stages[stage] = names
    return by_host


def _resolve_stage_endpoint(settings: Settings, stage: str) -> Endpoint:
    """The endpoint that a stage asks."""
    if stage not in EMBEDDING_STAGES:
        return resolve_endpoint(settings.llm)
    # Where `embed` has no address of its own, it is that of `llm`, with its key.
    section: Literal["llm", "embed"] = "embed" if settings.embed.base_url else "llm"
    return resolve_endpoint(settings.embed.endpoint(settings.llm), section=section)


def _print_plan(
    host: str,
    stages: StageModels,
    n_questions: int | None,
) -> None:
    """Print what is to be sent to a host."""
    for stage, names in stages.items():
        what = WHAT_IS_SENT[stage]
        if n_questions is not None:
            what = f"at most {n_questions:,} questions {WHAT_A_PILOT_SENDS[stage]}"
        each = " each" if n_questions is not None and len(names) > 1 else ""
        line = f"{stage}: {what} will be sent to {host}, model {', '.join(names)}{each}"
        console.errors.print(line, soft_wrap=True)


def _consent_path(run: Path, host: str) -> Path:
    """The file in which a run keeps its consent for a host."""
    return run / f"consent-{host}.json"


def _has_consent(run: Path | None, host: str, stages: StageModels) -> bool:
    """Whether this run has asked about all of these stages before."""
    if run is None:
        return False
    # A stage that was not asked about needs consent of its own.
    return set(stages) <= set(_read_consent(_consent_path(run, host)))


def _record_consent(run: Path | None, host: str, stages: StageModels) -> None:
    """Keep the consent in the run."""
    if run is None:
        return
    make_folder(run)
    path = _consent_path(run, host)
    # Consent adds up over the commands of a run.
    write_json(path, {"host": host, "models": {**_read_consent(path), **stages}})


def _read_consent(file: Path) -> dict[str, Any]:
    """Stage -> models that a run has asked about before."""
    if not file.is_file():
        return {}
    return dict(orjson.loads(file.read_bytes())["models"])


def _is_local_host(host: str) -> bool:
    """Whether a host name is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")

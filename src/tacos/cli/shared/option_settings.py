"""Turn the options of a command into settings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tacos import config
from tacos.config import Settings
from tacos.config.files import read_toml_file
from tacos.errors import ConfigError, hint_at_nearest
from tacos.workflows.given_settings import list_setting_files

QUOTA = re.compile(r"(.+?)=?(<=|=)([^=]*)", re.DOTALL)
"""`NAME=part`, `NAME<=part` or `NAME=<=part`; the name may hold an equals sign."""

MAPPED_PARTS = {
    "instruction": "instruction",
    "input": "input",
    "response": "response",
    "system": "system",
    "messages": "instruction",
    "tags": "tags",
    "score": "score",
}
"""Part of a row that `--map` takes -> the setting of `ingest` that names its field."""


@dataclass(frozen=True)
class EndpointOptions:
    """The options `--llm`, `--model` and `--budget`; None: not given."""

    url: str | None = None
    model: str | None = None
    budget: str | None = None

    def as_llm_settings(self) -> dict[str, str]:
        """The values of the section `llm` that were given."""
        given = {"base_url": self.url, "model": self.model, "budget": self.budget}
        return {name: value for name, value in given.items() if value is not None}


def build_settings(
    preset: str,
    file: Path | None,
    sets: Sequence[str] | None,
    endpoint: EndpointOptions,
    **top: Any,
) -> Settings:
    """Settings of a command that starts from a preset; `top` wins over everything else.

    Raises `ConfigError` for an unknown setting or a value out of range.
    """
    # `--llm` takes a URL, or a folder of models that `tacos distill` has written.
    if endpoint.url and Path(endpoint.url).is_dir():
        under = _build_folder_settings(endpoint)
    else:
        under = _build_endpoint_settings(endpoint)
    return config.load_settings(preset, file, sets or (), under=under, **top)


def build_run_settings(
    of_run: Settings,
    file: Path | None,
    sets: Sequence[str] | None,
    endpoint: EndpointOptions,
    defaults: dict[str, Any] | None = None,
    **top: Any,
) -> Settings:
    """Settings of a command that works on a finished run: the run's own, `defaults` over them, then
    the options.

    Raises `ConfigError` for an unknown setting or a value out of range.
    """
    llm = endpoint.as_llm_settings()
    # Later layers win: the run, the command's defaults, its options, then the file and --set.
    from_options = config.merge_layers(defaults or {}, {"llm": llm})
    under = config.merge_layers(of_run.model_dump(mode="json"), from_options)
    return config.load_settings(
        of_run.preset,
        file,
        sets or (),
        under=under,
        **top,
    )


def list_files_read(
    file: Path | None,
    sets: Sequence[str] | None,
    *others: Path | None,
) -> list[Path]:
    """The files that the settings of a command come from: the settings file, those that it and
    `--set` name, and others. No output may replace one of them.
    """
    layers = [config.parse_set_option(text) for text in sets or ()]
    files = [path for path in others if path is not None]
    if file is not None:
        files.append(file)
        layers.append(read_toml_file(file))
    for layer in layers:
        files += list_setting_files(layer)
    return files


def build_criteria_settings(file: Path | None) -> dict[str, Any]:
    """The settings of `--criteria`."""
    return {} if file is None else {"judge": {"criteria_file": str(file)}}


def build_normalise_settings(
    overrides: Path | None,
    vocabulary: Path | None,
) -> dict[str, Any]:
    """The settings of `--overrides` and `--vocabulary`."""
    given: dict[str, str] = {}
    if overrides is not None:
        given["overrides_file"] = str(overrides)
    if vocabulary is not None:
        given["vocabulary_file"] = str(vocabulary)
    return {"normalise": given} if given else {}


def build_ingest_settings(
    maps: Sequence[str] | None,
    preference: str | None,
) -> dict[str, Any]:
    """The settings of `--map` and `--preference`.

    Raises `ConfigError` for a mapping of another form, of an unknown part or of one named twice.

    >>> build_ingest_settings(["instruction=prompt", "response=data.answer"], None)
    {'ingest': {'instruction': 'prompt', 'response': 'data.answer'}}
    """
    given: dict[str, str] = {}
    for text in maps or ():
        part, sign, field = (word.strip() for word in text.partition("="))
        if not sign or not field:
            raise ConfigError(
                f"--map {text!r} is not of the form PART=FIELD, such as instruction=prompt"
            )
        if part not in MAPPED_PARTS:
            raise ConfigError(
                f"--map {text!r}: unknown part {part!r}; choose from "
                f"{', '.join(MAPPED_PARTS)}{hint_at_nearest(part, MAPPED_PARTS)}"
            )
        name = MAPPED_PARTS[part]
        if name in given:
            raise ConfigError(f"--map: {part} is mapped twice, name one field")
        given[name] = field
    if preference is not None:
        given["preference"] = preference
    return {"ingest": given} if given else {}


def build_clean_settings(
    preset: str | None,
    against: Sequence[str] | None,
) -> dict[str, Any]:
    """The settings of `--clean` and `--against`.

    >>> build_clean_settings("light", None)
    {'clean': {'preset': 'light'}}
    """
    given: dict[str, Any] = {}
    if preset is not None:
        given["preset"] = preset
    if against:
        given["against"] = list(against)
    return {"clean": given} if given else {}


def parse_limits(
    sources: Sequence[str] | None,
    tags: Sequence[str] | None,
    match_length: bool,
    limit: float | None,
    min_correctness: float | None,
) -> dict[str, Any]:
    """The limits that were given: as settings of the section `select`, and as arguments of
    `tacos.reselect`.
    """
    # Only what was given, so that the preset and the settings file keep the rest.
    given: dict[str, Any] = {}
    if sources:
        given["per_source"] = _parse_quotas("--quota-source", sources)
    if tags:
        given["per_tag"] = _parse_quotas("--quota-tag", tags)
    if match_length:
        given["match_length"] = True
    if limit is not None:
        given["limit"] = limit
    if min_correctness is not None:
        given["min_correctness"] = min_correctness
    return given


def split_list(text: str) -> list[str]:
    """The items of an option that takes several, separated by commas.

    >>> split_list("100, 5%,")
    ['100', '5%']
    """
    items = []
    for part in text.split(","):
        item = part.strip()
        # A comma at the end adds no item.
        if item:
            items.append(item)
    return items


def _build_endpoint_settings(endpoint: EndpointOptions) -> dict[str, Any]:
    """The settings that have an endpoint tag and judge."""
    llm = endpoint.as_llm_settings()
    # A budget alone does not turn the models on.
    if "base_url" not in llm and "model" not in llm:
        return {"llm": llm}
    return {"tag": {"model": "llm"}, "judge": {"model": "llm"}, "llm": llm}


def _build_folder_settings(endpoint: EndpointOptions) -> dict[str, Any]:
    """The settings that have the models of a folder tag and judge."""
    if endpoint.model:
        raise ConfigError(
            f"--llm {endpoint.url} is a folder and has no model to name: leave out --model"
        )
    return {"tag": {"model": endpoint.url}, "judge": {"model": endpoint.url}}


def _parse_quotas(
    option: str,
    given: Sequence[str],
) -> dict[str, str]:
    """Name -> part; raises `ConfigError` for any other form."""
    quotas: dict[str, str] = {}
    for text in given:
        # Groups: 1 the name, 2 the sign, 3 the part.
        form = QUOTA.fullmatch(text.strip())
        if not form or not form[3].strip():
            raise ConfigError(
                f"{option} {text!r} is not of the form NAME=0.3, NAME=300 or 'NAME<=30%'"
            )
        name = form[1].strip()
        sign = form[2]
        part = form[3].strip()
        if name in quotas:
            raise ConfigError(f"{option}: {name!r} has two quotas")
        quotas[name] = f"<={part}" if sign == "<=" else part
    return quotas

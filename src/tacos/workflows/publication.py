"""An exported data set for others to read: its card, and the hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tacos.errors import ConfigError
from tacos.formats import hub, saved_dataset
from tacos.formats.trainer_folders import CARD, TrainerFolder
from tacos.report.dataset_card import CardFacts, Origin, build_card
from tacos.version import read_version
from tacos.workflows.selection import Selection

PUBLISHED = "datasets"
"""The form of export that has a card, and that the hub takes."""


@dataclass(frozen=True)
class Publication:
    """What a user says of a data set that others will read."""

    repository: str = ""
    """OWNER/NAME on the hub; "" pushes nothing."""
    public: bool = False
    source: str = ""
    licence: str = ""

    def check(self, trainer: str) -> None:
        """Raise `ConfigError` for what cannot be published so."""
        given = self.repository or self.source or self.licence or self.public
        if given and trainer != PUBLISHED:
            raise ConfigError(
                f"--push, --public, --source and --licence go with --for {PUBLISHED}"
            )
        if self.repository:
            hub.check_push(self.repository)
        elif self.public:
            raise ConfigError("--public says how to push: add --push OWNER/NAME")

    def list_cautions(self) -> list[str]:
        """What a reader of the card will miss."""
        missing = [
            option
            for option, value in (
                ("--source", self.source),
                ("--licence", self.licence),
            )
            if not value
        ]
        if not self.repository or not missing:
            return []
        names = " and ".join(missing)
        return [f"the card does not name them: give {names} of the pool"]


def describe_export(
    name: str,
    folder: TrainerFolder,
    columns: Sequence[Mapping[str, Any]],
    reasons: Mapping[str, int],
    done: Selection | None,
    publication: Publication,
) -> str:
    """The card of exported rows; `done` is the run that selected them, if one did."""
    facts = CardFacts(
        name=publication.repository.rpartition("/")[2] or name,
        n_rows=len(folder.rows),
        columns=saved_dataset.list_column_names(folder.iterate_rows(), columns),
        version=read_version(),
        origin=Origin(publication.source, publication.licence),
        left_out=reasons,
        summary=None if done is None else done.summary,
        settings=None if done is None else done.settings,
    )
    return build_card(facts)


def push_export(
    folder: TrainerFolder,
    columns: Sequence[Mapping[str, Any]],
    publication: Publication,
    *,
    replace: bool,
) -> str:
    """Push rows and card to the hub, and return their address."""
    files = {
        hub.DATA: saved_dataset.encode_parquet(folder.iterate_rows, columns),
        CARD: folder.texts[CARD].encode(),
    }
    return hub.push_dataset(
        publication.repository,
        files,
        public=publication.public,
        replace=replace,
    )

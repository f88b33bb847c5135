"""`tacos reselect`: other selections from the annotated pool of a finished run; no model is called.

A selection is an artifact of the run, `reselected/<key>`; the run's own selection stays as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars as pl

from tacos import amounts, config
from tacos.formats import row_edits
from tacos.formats.row_edits import Edits
from tacos.methods.selecting.limits import Limits
from tacos.methods.selecting.strategies import BY_SCORE, Strategy
from tacos.pipeline.manifest import Manifest
from tacos.pipeline.steps import pool as pool_steps
from tacos.pipeline.steps.selection import reject_incorrect_rows, reject_left_out
from tacos.records import SELECTION, canonical_hash, conform_table
from tacos.report.selection_request import RESELECT
from tacos.store.artifacts import LAYOUT, Artifact, Store
from tacos.workflows import arguments, hand_edits, kept_files, reselected_files
from tacos.workflows.selection import (
    GivenRun,
    OutputTargets,
    Selection,
    check_own_files,
    check_targets,
    list_files_written,
    load,
    write_outputs,
)
from tacos.workflows.strategy_pool import (
    By,
    Pool,
    SelectionRequest,
    choose,
    find_run_scores,
)

NAME = "reselected"
VERSION = 10


def reselect(  # noqa: PLR0913 - the options of the command
    run: GivenRun,
    n: str | float | None = None,
    strategy: Strategy = "tacos",
    *,
    seed: int | None = None,
    limit: float | None = None,
    per_source: Mapping[str, str | float] | None = None,
    per_tag: Mapping[str, str | float] | None = None,
    match_length: bool = False,
    min_correctness: float = 0.0,
    by: By = "score",
    output: str | Path | None = None,
    edits: str | Path | None = None,
    tag_price: float | None = None,
    force: bool = False,
) -> Selection:
    """Select again from the annotated pool of a finished run, without calling any model.

    Args:
        run: A run directory, or a selection.
        n: Rows (500), a share of the pool ("10%", 0.1) or a token budget ("2Mtokens"); as many rows
            as the run itself selected by default.
        strategy: One of `tacos.methods.selecting.strategies.STRATEGIES`.
        seed: The random seed; that of the run by default.
        limit: The cosine similarity above which a row counts as a near-duplicate of a selected one,
            and is skipped; 1 skips none. By default the strategy tacos skips near-duplicates and
            all but one row of a conversation as the run did, and other strategies skip none.
        per_source: Quotas of input files: `{"a.jsonl": 0.3}` is met exactly, `{"a.jsonl": "<=30%"}`
            is an upper limit.
        per_tag: Quotas of tags, likewise.
        match_length: Whether each tenth of the pool by length has a tenth of the selection.
        min_correctness: The correctness (1 to 100) below which rows are skipped; 0 skips none.
        by: Rank by "score" (compared rows have one) or by "grade" (every row has one).
        output: The file to write the rows to.
        edits: A file of rows that a person keeps, drops or gives tags; see
            `tacos.formats.row_edits`. Clusters stay as they are.
        tag_price: What a tag that no selected row has is worth to the strategy tacos, in points of
            score; 0: only scores count. That of the run (`select.tag_price`) by default.
        force: Whether rows replace a file that tacos did not write.

    The run's must-keep and exclude lists hold, apart from the rows of `edits`, and so does
    `select.fill`; its quotas and limits do not. The run's own selection stays as it is.

    Raises:
        ConfigError: `n`, a quota or the limit is not valid.
        InputError: The pool cannot meet the request, or the run has no scores.
        OutputError: The output cannot be written.
        RunError: `run` is no run directory, or another process works on it.
    """
    done = load(run)
    limits = parse_limits(
        limit,
        per_source,
        per_tag,
        match_length,
        min_correctness,
    )
    request = SelectionRequest(
        done.size_or(n),
        strategy,
        done.seed_or(seed),
        limits,
        by,
        tag_price,
    )
    targets = OutputTargets(arguments.to_optional_path("output", output), force=force)
    edits_file = arguments.to_optional_path("edits", edits)
    by_hand: Edits = {} if edits_file is None else row_edits.read_edits(edits_file)
    read = [] if edits_file is None else [edits_file]
    return run_reselection(done, request, targets, by_hand, read)


def run_reselection(
    done: Selection,
    request: SelectionRequest,
    targets: OutputTargets,
    edits: Edits = MappingProxyType({}),
    read: Sequence[Path] = (),
) -> Selection:
    """`reselect` by a complete request, as the command line does; a report is written if named.

    `edits` are what a person decided of single rows, `read` the files that they come from.
    """
    check_targets(targets)
    kept_files.check_files_kept(list_files_written(targets), read)
    check_own_files(targets)
    done = hand_edits.edit_run(done, edits)
    pool = Pool(done.artifacts, done.settings, request.by)
    artifact, is_new = find_or_select(done.run, pool, request)
    # The settings of the result say what was selected, not what the run asked for.
    settings = reselected_files.describe_selection(done.settings, artifact)
    artifacts = {**done.artifacts, "selection": artifact}
    # The same request twice finds the selection of the first.
    made = [NAME] if is_new else []
    written = write_outputs(
        Selection(
            done.run,
            settings,
            artifacts,
            made=made,
            folder=done.folder,
            inputs=done.inputs,
            read_before=done.read_before,
        ),
        targets,
    )
    if targets.output is not None:
        reselected_files.note_file(done.run, targets.output, artifact)
    return written


def parse_limits(
    limit: float | None = None,
    per_source: Mapping[str, str | float] | None = None,
    per_tag: Mapping[str, str | float] | None = None,
    match_length: bool = False,
    min_correctness: float = 0.0,
) -> Limits:
    """Limits of a selection from what a user gives. Raises `ConfigError` if one is not valid.

    Without a `limit`, rows that repeat a selected one are skipped, as far as the strategy and the
    settings of the run do so (`strategy_pool.choose`).
    """
    given = {
        "limit": "auto" if limit is None else limit,
        "conversations": limit is None,
        "per_source": per_source or {},
        "per_tag": per_tag or {},
        "match_length": match_length,
        "min_correctness": min_correctness,
    }
    return pool_steps.build_limits(config.load_settings(select=given).select)


def find_or_select(
    run: Path,
    pool: Pool,
    request: SelectionRequest,
) -> tuple[Artifact, bool]:
    """The selection as an artifact of the run, and whether it is new.

    Raises `RunError` if another process works on the run, and as `choose` does.
    """
    store = Store(run)
    key = _build_key(pool, request)
    # The same request on the same pool is made once.
    existing = store.find(NAME, key)
    if existing is not None:
        return existing, False
    choice = choose(pool, request)
    table = conform_table(choice.selection, SELECTION)
    notes: dict[str, Any] = {
        "rules": dict(Counter(table["rule"].to_list())),
        "tag_price": choice.tag_price,
    }
    if request.strategy in BY_SCORE and table["score"].count():
        notes["reliability"] = pool.reliability._asdict()
    edited = reselected_files.note_edits(pool.settings, pool.tables)
    if edited:
        notes[reselected_files.EDITED] = edited
    if choice.n_given_way:
        notes["n_given_way"] = choice.n_given_way
    floor = request.limits.min_correctness
    incorrect = reject_incorrect_rows(pool.table, floor, pool.keep, pool.exclude)
    left_out = [choice.left_out]
    if choice.passed_by is not None:
        left_out.append(choice.passed_by)
    rejects = pl.concat([incorrect, reject_left_out(pl.concat(left_out))])
    reasons = Counter(rejects["reason"].to_list())
    manifest = Manifest(
        stage=RESELECT,
        version=VERSION,
        round=None,
        key=key,
        settings=asdict(request),
        rejects=dict(reasons),
        n_rejects=rejects.height,
        notes=notes,
    )
    with store.lock():
        draft = store.begin(NAME, key, resume=False)
        draft.write(0, table, rejects)
        return draft.commit(manifest.as_dict()), True


def _build_key(pool: Pool, request: SelectionRequest) -> str:
    """16 hex digits that change with anything that can change the selection."""
    selecting = pool.settings.select
    inputs = (
        "samples",
        "canonical_tags",
        "memberships",
        "clusters",
        "grades",
        find_run_scores(pool.tables),
    )
    digests = {name: pool.tables[name].digest for name in inputs if name in pool.tables}
    # "500", 500 and 500.0 are the same size.
    canonical_request = asdict(request) | {"n": asdict(amounts.parse_size(request.n))}
    # Without a price of its own, a selection is the same as before there were any.
    if request.tag_price is None:
        del canonical_request["tag_price"]
    settings_of_run = [
        selecting.quota,
        selecting.tag_price,
        selecting.limit,
        selecting.conversations,
        pool.settings.judge.reliability,
        selecting.fill,
        selecting.keep,
        selecting.exclude,
        pool.settings.cluster.membership,
    ]
    parts = [
        LAYOUT,
        NAME,
        VERSION,
        canonical_request,
        settings_of_run,
        pool.encoder.fingerprint,
        pool.question_encoder.fingerprint,
        digests,
    ]
    return canonical_hash(parts)[:16]

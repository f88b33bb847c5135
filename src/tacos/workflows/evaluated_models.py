"""What is said of a model's answers beside its score: how long they are, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from tacos.methods.evaluating.questions import AnsweredQuestion

ASK_REFUSED = "run the same command again with --set llm.ask_refused=true"
"""A refusal is an answer: the ledger keeps it, and no further command asks again by itself."""


@dataclass(frozen=True)
class EvaluatedModel:
    """The answers of one model in figures."""

    label: str
    mean_length: float
    """Characters of an answer."""
    n_answers: int
    faults: list[str]
    """Answers that are empty, or were cut at the limit of tokens, in words."""
    templates: tuple[str, ...]
    """The hashes of the chat templates that the questions were asked with."""
    longest: int = 0
    """Characters of the longest answer."""


def has_refusals(reasons: Iterable[str]) -> bool:
    """Whether some replies are missing because the model, or a filter, refused.

    >>> has_refusals(["refused: content filter"]), has_refusals(["it is empty"])
    (True, False)
    """
    return any(reason.startswith("refused") for reason in reasons)


def suggest_asking(reasons: Iterable[str]) -> str:
    """How the same command asks for what is missing, for these reasons."""
    if has_refusals(reasons):
        asking = f"{ASK_REFUSED[0].upper()}{ASK_REFUSED[1:]}"
        return f"{asking}: it asks for these alone, refusals included"
    return "Run the same command again: it asks for these alone"


def describe_answers(label: str, answers: Sequence[AnsweredQuestion]) -> EvaluatedModel:
    """The answers of one model in figures."""
    texts = list(chain.from_iterable(answer.answers for answer in answers))
    faults = [
        f"{answer.question_id} {fault}"
        for answer in answers
        for fault in answer.list_faults()
    ]
    templates = {answer.template_hash for answer in answers if answer.template_hash}
    return EvaluatedModel(
        label=label,
        mean_length=float(np.mean([len(text) for text in texts])),
        n_answers=len(texts),
        faults=faults,
        templates=tuple(sorted(templates)),
        longest=max(map(len, texts), default=0),
    )


def name_long_answers(models: Sequence[EvaluatedModel], max_chars: int) -> list[str]:
    """Of which models the judge was not shown everything, in sentences."""
    return [
        f"the longest answer of {model.label} has {model.longest:,} characters; of those with more "
        f"than {max_chars:,} the judge is shown beginning and end (max_chars)"
        for model in models
        if model.longest > max_chars
    ]


def name_different_templates(models: Sequence[EvaluatedModel]) -> str:
    """Which models were asked with which template, where they were not all asked alike; else "".

    FastChat chooses a template by a model's name, so that arms of one comparison were asked with
    different ones, and scored differently for that alone.
    """
    known = {model.templates for model in models if model.templates}
    if len(known) < 2 and all(len(model.templates) < 2 for model in models):
        return ""
    named = [
        f"{model.label}: {' and '.join(model.templates) or 'not noted'}"
        for model in models
    ]
    return (
        f"the models were asked with different chat templates ({'; '.join(named)}), which changes "
        "scores by itself; that is right only where each was trained with its own"
    )


def list_warnings(
    labels: Sequence[str],
    answers: Sequence[EvaluatedModel],
    judges: Iterable[str],
    max_chars: int,
) -> tuple[str, ...]:
    """What makes scores of these models hard to compare, in sentences.

    `judges` are all names of the judges: that which was asked for, and those that servers gave.
    They were shown `max_chars` of an answer.
    """
    warnings = name_long_answers(answers, max_chars)
    templates = name_different_templates(answers)
    if templates:
        warnings.append(templates)
    own = sorted(set(labels) & set(judges))
    if own:
        named = " and ".join(own)
        warnings.append(
            f"{named} judged answers of its own, which judges tend to prefer (circular)"
        )
    return tuple(warnings)

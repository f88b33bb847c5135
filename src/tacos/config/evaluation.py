"""The settings of the evaluations: how judges are asked about the answers of trained models."""

from __future__ import annotations

from pydantic import Field

from tacos.config.section import SettingsSection

MT_BENCH_TEMPERATURES = {
    "writing": 0.7,
    "roleplay": 0.7,
    "extraction": 0.0,
    "math": 0.0,
    "coding": 0.0,
    "reasoning": 0.0,
    "stem": 0.1,
    "humanities": 0.1,
}
"""FastChat's (llm_judge/common.py)."""


class AnswerSettings(SettingsSection):
    """Answers of a model to the questions of a set (`tacos answer`)."""

    model: str = "llm"
    """The model of a server that answers: `llm` (the one that the command names)."""
    temperature: float = Field(0.7, ge=0, le=2)
    """The sampling temperature of categories without one of their own (`--temperature`)."""
    by_category: dict[str, float] = MT_BENCH_TEMPERATURES
    """Category -> sampling temperature; those of MT-Bench."""
    max_tokens: int = Field(1024, gt=0)
    """The longest answer, in tokens (`--max-tokens`); a longer one is cut, and marked as cut."""
    draw: int = Field(0, ge=0)
    """Which of several random answers: another number draws another one, the same number the same
    one.
    """
    max_failure_rate: float = Field(0.0, ge=0, le=1)
    """The share of questions that may stay without an answer. Scores of a set need all of them."""


class MtBenchSettings(SettingsSection):
    """Grades of answers on a scale from 1 to 10, by a language model (MT-Bench)."""

    model: str = "llm"
    """The judge: `llm` (the model of `--judge`) or another model of that endpoint."""
    repeat: int = Field(1, ge=1, le=100)
    """How often each answer is graded (`--repeat`)."""
    temperature: float = Field(0.0, ge=0, le=2)
    """The sampling temperature."""
    max_tokens: int = Field(2048, gt=0)
    """The longest reply, in tokens."""
    max_chars: int = Field(24000, gt=0)
    """Longer answers lose their middle, which is marked, before they are sent."""
    max_failure_rate: float = Field(0.1, ge=0, le=1)
    """A larger share of replies without a grade stops the command early. Below it, every answer is
    asked about; there is no score unless all have a grade.
    """


class AlpacaEvalSettings(SettingsSection):
    """Preferences between a model's output and the baseline's, in both orders (AlpacaEval)."""

    model: str = "llm"
    """The judge: `llm` (the model of `--judge`) or another model of that endpoint."""
    temperature: float = Field(0.0, ge=0, le=2)
    """The sampling temperature."""
    max_tokens: int = Field(8, gt=0)
    """The longest reply, in tokens: a letter, unless the judge thinks before it answers."""
    top_logprobs: int = Field(5, ge=0, le=20)
    """How many first tokens the server is asked to weigh, so that a preference is a probability.
    0: it is not asked; then, and where a server gives none, the letter counts.
    """
    max_chars: int = Field(24000, gt=0)
    """Longer outputs lose their middle, which is marked, before they are sent; both outputs are
    treated alike.
    """
    max_failure_rate: float = Field(0.1, ge=0, le=1)
    """A larger share of replies without a preference stops the command early. Below it, every pair
    is asked about; there is no win rate unless all have one, or `--allow-missing` is given.
    """


class DuelSettings(SettingsSection):
    """Comparisons of two models' answers to the same questions, in both orders (`tacos duel`)."""

    model: str = "llm"
    """The judge: `llm` (the model of `--judge`) or another model of that endpoint."""
    temperature: float = Field(0.0, ge=0, le=2)
    """The sampling temperature."""
    max_tokens: int = Field(2048, gt=0)
    """The longest reply, in tokens."""
    max_chars: int = Field(24000, gt=0)
    """Longer answers lose their middle, which is marked, before they are sent; both answers are
    treated alike.
    """
    max_failure_rate: float = Field(0.1, ge=0, le=1)
    """A larger share of replies without scores stops the command early. Below it, every question is
    asked about in both orders; there is no result unless all were judged, or `--allow-missing` is
    given.
    """

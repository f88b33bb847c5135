"""Names the readable features of a sample that `tacos.models.response_features` measures."""

from __future__ import annotations

from typing import NamedTuple


class Feature(NamedTuple):
    """A feature: its name and what it measures."""

    name: str
    meaning: str


FEATURES: tuple[Feature, ...] = (
    # Length
    Feature(
        "says nothing",
        "no word, or only 'none', 'n/a', 'no output'",
    ),
    Feature(
        "length",
        "log2(1 + words) of the response",
    ),
    Feature(
        "length where a label is asked",
        "length, for choices and sums; else 0",
    ),
    Feature(
        "length where a short text is asked",
        "length, for titles and summaries; else 0",
    ),
    Feature(
        "length where prose is asked",
        "length, for letters and stories; else 0",
    ),
    Feature(
        "length where reasons are asked",
        "length, for why, how, describe; else 0",
    ),
    Feature(
        "length against the instruction",
        "log2 of (1 + words) over (1 + words of the instruction)",
    ),
    Feature(
        "sentence length",
        "log2(1 + words per sentence)",
    ),
    Feature(
        "variety of sentence length",
        "log2(1 + standard deviation of words per sentence)",
    ),
    # Layout
    Feature(
        "commas",
        "commas per word",
    ),
    Feature(
        "sentences",
        "log2(1 + sentences)",
    ),
    Feature(
        "paragraphs",
        "log2(1 + blank lines)",
    ),
    Feature(
        "lines",
        "log2(1 + line breaks)",
    ),
    Feature(
        "list items",
        "log2(1 + items)",
    ),
    Feature(
        "list asked and given",
        "marked items where the instruction asks for several things",
    ),
    Feature(
        "lead-in",
        "the first line ends with a colon and more follows",
    ),
    Feature(
        "headings and emphasis",
        "log2(1 + bold marks and headings)",
    ),
    # Ending
    Feature(
        "ends complete",
        "the last character closes a sentence",
    ),
    Feature(
        "breaks off",
        "a longer text that stops in mid-sentence",
    ),
    Feature(
        "unbalanced marks",
        "brackets, quotes or code fences that do not close",
    ),
    Feature(
        "last item a stump",
        "the last item of a list lacks the full stop that most others have",
    ),
    # Repetition
    Feature(
        "repeated phrases",
        "share of word trigrams seen before",
    ),
    Feature(
        "repeated lines",
        "share of lines, sentences or items seen before",
    ),
    Feature(
        "same openings",
        "share of lines and sentences that open like an earlier one",
    ),
    Feature(
        "word variety",
        "log(distinct words) / log(words)",
    ),
    Feature(
        "stuck on a word",
        "share of the most frequent longer word",
    ),
    # Relevance
    Feature(
        "covers the instruction",
        "share of the instruction's content words that recur",
    ),
    Feature(
        "new content",
        "log2(1 + distinct longer words that the instruction lacks)",
    ),
    Feature(
        "closeness of meaning",
        "cosine of the embeddings",
    ),
    Feature(
        "echo",
        "share of 4-grams that are the instruction's, unless it asks for an edit",
    ),
    Feature(
        "input handed back",
        "the same, if it asks for an edit or an extract",
    ),
    Feature(
        "restates the question first",
        "share of the opening words that are the instruction's",
    ),
    # Compliance with the instruction
    Feature(
        "items asked and given",
        "log2 of items given per item asked",
    ),
    Feature(
        "number of items met",
        "exactly as many items as the instruction asks for",
    ),
    Feature(
        "over the word limit",
        "log2 of words per word allowed",
    ),
    # Code and script
    Feature(
        "code asked and given",
        "code, as the instruction asks",
    ),
    Feature(
        "code asked, none given",
        "no code although the instruction asks for it",
    ),
    Feature(
        "code not asked",
        "code although the instruction does not ask for it",
    ),
    Feature(
        "other script",
        "another writing system than the instruction's, unless it asks for a translation",
    ),
    # Hygiene
    Feature(
        "small initial",
        "starts in lower case, unless a label or a short text is asked",
    ),
    Feature(
        "small sentence starts",
        "share of sentences that start in lower case",
    ),
    Feature(
        "slips of spacing",
        "log2(1 + stray spaces and doubled marks)",
    ),
    Feature(
        "placeholders",
        "log2(1 + blanks, [Name], XXX)",
    ),
    Feature(
        "leftovers",
        "labels of the prompt such as 'Output:', 'noinput'",
    ),
    # Phrasing
    Feature(
        "refusal",
        "declines, or says that it is an AI",
    ),
    Feature(
        "hedging",
        "share of maybe, perhaps, might",
    ),
    Feature(
        "courtesy",
        "log2(1 + 'here are', 'sure', 'let me know', 'hope this helps')",
    ),
    Feature(
        "examples",
        "log2(1 + 'for example', 'such as')",
    ),
    Feature(
        "reasons and order",
        "share of because, therefore, first, then, however",
    ),
    Feature(
        "numbers",
        "share of words that start with a digit, less the list marks",
    ),
    # Tone
    Feature(
        "exclamation",
        "log2(1 + exclamation marks)",
    ),
    Feature(
        "capitals",
        "share of words in capitals, if there are three or more",
    ),
    Feature(
        "answers with a question",
        "the response is one question",
    ),
    Feature(
        "long words",
        "mean letters per word",
    ),
    Feature(
        "speaks of itself",
        "share of I, me, my",
    ),
    Feature(
        "speaks to the reader",
        "share of you, your",
    ),
    Feature(
        "link asked and given",
        "the address of a web page, as the instruction asks",
    ),
    Feature(
        "link not asked",
        "the address of a web page although the instruction does not ask for it",
    ),
    # The instruction itself
    Feature(
        "a label is asked",
        "of the instruction alone",
    ),
    Feature(
        "a short text is asked",
        "of the instruction alone",
    ),
    Feature(
        "prose is asked",
        "of the instruction alone",
    ),
    Feature(
        "reasons are asked",
        "of the instruction alone",
    ),
    Feature(
        "several things are asked",
        "of the instruction alone",
    ),
    Feature(
        "an edit is asked",
        "of the instruction alone",
    ),
    Feature(
        "code is asked",
        "of the instruction alone",
    ),
    Feature(
        "length of the instruction",
        "of the instruction alone",
    ),
)
NAMES = tuple(feature.name for feature in FEATURES)

"""The lists of words by which the judge's features tell what kind of task an instruction sets."""

from __future__ import annotations

from tacos.models.instruction_intent import word_set

# The kind of task by the first word of the instruction.
_FIRST_WORDS = {
    "creates": "write create generate compose construct design develop make come",
    "explains": "describe explain discuss why how outline analyze analyse compare evaluate",
    "lists": "list name give provide suggest brainstorm identify find",
    "asks a fact": "what who when where which is are does do can",
    "edits": (
        "edit rewrite rephrase paraphrase convert change replace transform translate correct "
        "fill complete add rearrange sort arrange reword combine modify remove fix insert"
    ),
    "classifies": (
        "classify categorize categorise determine predict assign label choose select decide tell"
    ),
    "calculates": "calculate compute estimate solve evaluate count convert",
}
# The kind of task by any word of the instruction.
_ANY_WORDS = {
    "explains": "explain",
    "classifies": "sentiment",
    "calculates": "equation sum area average percent many square multiply divide",
    "programs": (
        "code function program python java javascript sql query html css regex algorithm script "
        "class"
    ),
    "shortens": "summarize summarise summary headline title caption tweet slogan tagline",
    "tells": (
        "story poem essay letter article blog dialogue speech paragraph song haiku email review "
        "report script"
    ),
}
KINDS = tuple(dict.fromkeys([*_FIRST_WORDS, *_ANY_WORDS]))
_MISSING_INPUT = word_set(
    "image picture photo video audio link url website passage paragraph table"
)
OPENING_WORDS = ["the", "a", "i", "this", "1", "yes", "no", "here", "to", "it", "in"]
"""Words that open many responses: one column for each."""
CLASSES = {
    **{f"first: {kind}": word_set(words) for kind, words in _FIRST_WORDS.items()},
    **{f"any: {kind}": word_set(words) for kind, words in _ANY_WORDS.items()},
    **{f"opening {place}": {word} for place, word in enumerate(OPENING_WORDS)},
    "missing input": _MISSING_INPUT,
    "noinput": frozenset(["noinput"]),
}
"""The lists of words, by the names under which `word_columns` knows them."""

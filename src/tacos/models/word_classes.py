"""The classes of words that the features of responses count: hedges, function words and the like.

A word may be of several classes.
"""

from __future__ import annotations

from tacos.models.instruction_intent import word_set

FUNCTION_WORDS = word_set(
    "the a an of to and in is it for on with as by at from that this are be or was were which its "
    "their his her his your you i we they he she has have had not can will would should there "
    "these those if than then so also into about more most other such"
)
CLASSES = {
    "doubts": word_set("maybe perhaps possibly probably might somewhat guess"),
    "reasons": word_set(
        "because therefore thus hence since however although while whereas first firstly second "
        "secondly third thirdly next then finally additionally furthermore moreover also overall"
    ),
    "self": word_set("i me my mine myself i'm i've i'd i'll"),
    "reader": word_set("you your yours yourself you're you'll you've"),
    "vague": word_set(
        "various several many some certain different important good great better best nice thing "
        "things stuff etc significant numerous aspects factors ways overall generally often "
        "usually sometimes"
    ),
    "hedges": word_set(
        "may might could perhaps possibly probably seems appears likely somewhat"
    ),
    "links": word_set(
        "because therefore thus hence since however although while whereas so but instead unlike "
        "rather if unless"
    ),
    "function": FUNCTION_WORDS,
}
"""The lists of words, by the names under which `word_columns` knows them."""

"""Rows of every layout for the fuzzer (`tests.fuzz.files`), and what is done to one of them.

A `Talk` says who says what; a layout writes it as a row. So it is known what must be read of a row,
also after a text of the talk was changed. What is done to the row itself (a field dropped, a role
renamed) says only what must not happen: a turn whose text is nowhere in the row, an answer that the
user gave, a rejected answer taken for the chosen one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any, NamedTuple

TOPICS = ("rivers", "bread", "engines", "music", "planets", "gardens", "moths")
ENDS = ("", " ¿Sí?", " “ok”", ' say "so"', "\nand why\\not", " 🌊", ", a;b", " 漢字")


class Written(NamedTuple):
    """JSON that is written as it stands: a number of many digits, NaN, a broken escape."""

    text: str


class Fields(NamedTuple):
    """An object by its pairs, of which several may have one key."""

    pairs: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Talk:
    """What one row says."""

    questions: tuple[str, ...]
    answers: tuple[str, ...]
    rejected: str
    system: str = ""
    context: str = ""

    def list_turns(self) -> list[tuple[str, str]]:
        """Role and text of every turn."""
        turns = [("system", self.system)] if self.system else []
        for number, question in enumerate(self.questions):
            asked = question
            if self.context and number == len(self.questions) - 1:
                asked = f"{question}\n\n{self.context}"
            turns += [("user", asked), ("assistant", self.answers[number])]
        return turns


class Layout(NamedTuple):
    """How rows are written, and what such a row can hold."""

    write: Callable[[Talk], Any]
    is_long: bool = False
    """Whether it holds several questions."""
    has_system: bool = False
    has_context: bool = False
    settings: tuple[tuple[str, str], ...] = ()
    is_exact: bool = True
    """Whether texts are found by their place alone, not by marks within the text."""


def _write_messages(talk: Talk, speaker: str, content: str, names: str) -> list[Any]:
    user, assistant = names.split()
    spoken = {"user": user, "assistant": assistant, "system": "system"}
    return [{speaker: spoken[role], content: text} for role, text in talk.list_turns()]


def _write_openai(talk: Talk) -> list[Any]:
    return _write_messages(talk, "role", "content", "user assistant")


def _write_parts(talk: Talk) -> list[Any]:
    return [
        {"role": role, "content": [{"type": "text", "text": text}]}
        for role, text in talk.list_turns()
    ]


def _write_tree(talk: Talk) -> Any:
    tree: dict[str, Any] = {}
    for role, text in reversed(talk.list_turns()):
        spoken = "prompter" if role == "user" else "assistant"
        tree = {"text": text, "role": spoken, "replies": [tree] if tree else []}
    return {"message_tree_id": "t", "prompt": tree}


def _write_history(talk: Talk) -> Any:
    pairs = list(zip(talk.questions, talk.answers, strict=True))
    return {
        "instruction": talk.questions[-1],
        "input": talk.context,
        "output": talk.answers[-1],
        "history": [list(pair) for pair in pairs[:-1]],
    }


def _write_preferred_messages(talk: Talk) -> Any:
    messages = _write_openai(talk)
    worse = {"role": "assistant", "content": talk.rejected}
    return {"chosen": messages, "rejected": [*messages[:-1], worse]}


def _write_columns_of_messages(talk: Talk) -> Any:
    turns = talk.list_turns()
    speakers = {"user": "human", "assistant": "gpt", "system": "system"}
    return {
        "conversations": {
            "from": [speakers[role] for role, _ in turns],
            "value": [text for _, text in turns],
        }
    }


def _write_transcript(talk: Talk) -> Any:
    marks = {"user": "Human", "assistant": "Assistant", "system": "System"}
    parts = [f"{marks[role]}: {text}" for role, text in talk.list_turns()]
    return {"text": "\n\n".join(parts)}


LAYOUTS: dict[str, Layout] = {
    "alpaca": Layout(
        lambda talk: {
            "instruction": talk.questions[0],
            "input": talk.context,
            "output": talk.answers[0],
        },
        has_context=True,
    ),
    "prompt/completion": Layout(
        lambda talk: {"prompt": talk.questions[0], "completion": talk.answers[0]}
    ),
    "question/answer": Layout(
        lambda talk: {"id": 7, "question": talk.questions[0], "answer": talk.answers[0]}
    ),
    "query/response": Layout(
        lambda talk: {"query": talk.questions[0], "response": talk.answers[0]}
    ),
    "instances": Layout(
        lambda talk: {
            "instruction": talk.questions[0],
            "instances": [{"input": talk.context, "output": talk.answers[0]}],
        },
        has_context=True,
    ),
    "messages": Layout(
        lambda talk: {"messages": _write_openai(talk)}, is_long=True, has_system=True
    ),
    "parts": Layout(
        lambda talk: {"messages": _write_parts(talk)}, is_long=True, has_system=True
    ),
    "sharegpt": Layout(
        lambda talk: {
            "conversations": _write_messages(talk, "from", "value", "human gpt")
        },
        is_long=True,
        has_system=True,
    ),
    "columns of messages": Layout(
        _write_columns_of_messages, is_long=True, has_system=True
    ),
    "prompt and completion messages": Layout(
        lambda talk: {
            "prompt": _write_openai(talk)[:-1],
            "completion": _write_openai(talk)[-1:],
        },
        is_long=True,
        has_system=True,
    ),
    "history": Layout(_write_history, is_long=True, has_context=True),
    "preference": Layout(
        lambda talk: {
            "prompt": talk.questions[0],
            "chosen": talk.answers[0],
            "rejected": talk.rejected,
        }
    ),
    "preferred messages": Layout(
        _write_preferred_messages, is_long=True, has_system=True
    ),
    "tree": Layout(_write_tree, is_long=True),
    "nested": Layout(
        lambda talk: {
            "data": {
                "q": talk.questions[0],
                "replies": [{"text": talk.answers[0]}, {"text": talk.rejected}],
            }
        },
        settings=(("instruction", "data.q"), ("response", "data.replies.0.text")),
    ),
    "list of messages": Layout(_write_openai, is_long=True, has_system=True),
    "transcript": Layout(
        _write_transcript, is_long=True, has_system=True, is_exact=False
    ),
}


def make_talk(random: Random, layout: Layout, number: int) -> Talk:
    """A talk of texts that occur once, as long as the layout can hold."""
    n_questions = random.randint(1, 3) if layout.is_long else 1

    def say(kind: str, place: int) -> str:
        topic = random.choice(TOPICS)
        if kind == "question":
            return (
                f"Please tell me of {topic}, case {number}.{place}{random.choice(ENDS)}"
            )
        return (
            f"The {kind} on {topic} is {number}.{place}, in full.{random.choice(ENDS)}"
        )

    questions = [say("question", place) for place in range(n_questions)]
    answers = [say("answer", place) for place in range(n_questions)]
    return Talk(
        tuple(questions),
        tuple(answers),
        rejected=say("refusal", 0),
        system=say("rule", 0) if layout.has_system and random.random() < 0.4 else "",
        context=say("context", 0)
        if layout.has_context and random.random() < 0.4
        else "",
    )


# What is done to a text: it must be read as it stands then


LONG = 200_000


def spoil_text(random: Random, text: str) -> tuple[str, str]:
    """What was done to a text, and the text."""
    place = random.randint(0, len(text))
    kind = random.choice(list(SPOILERS))
    added = SPOILERS[kind](random)
    return kind, text[:place] + added + text[place:]


SPOILERS: dict[str, Callable[[Random], str]] = {
    "control character": lambda random: chr(random.choice([*range(32), 127, 0x85])),
    "byte order mark": lambda random: "\ufeff",
    "line separator": lambda random: random.choice(["\u2028", "\u2029", "\r", "\x0b"]),
    "unusual letter": lambda random: random.choice(
        [
            "\u202e",
            "\u200b",
            "e\u0301",
            "\ufffd",
            "\U0010ffff",
            "\ufdd0",
            "\U0001f468\u200d",
        ]
    ),
    "long": lambda random: random.choice("x \n\"\\{[<#-'`:") * random.randint(9, LONG),
    "long words": lambda random: (
        random.choice(
            [
                "\n\nHuman",
                "[INST] ",
                "<|im_start|>",
                "### ",
                "A. ",
                "\n1. ",
                "Q: ",
                "</s> ",
                "* ",
            ]
        )
        * random.randint(9, LONG // 10)
    ),
    "mark": lambda random: random.choice(
        [
            "nan",
            "null",
            " [] ",
            '{"a": 1}',
            "```\n",
            "</s>",
            "<|im_end|>",
            "\\u0041",
            "&amp;",
            "\\n",
            "=1+1",
            "'",
            '""',
        ]
    ),
}


def change_talk(random: Random, talk: Talk) -> tuple[str, Talk]:
    """What was done to one text of a talk, and the talk."""
    place = random.randrange(len(talk.questions))
    side = random.choice(["questions", "answers"])
    texts = list(getattr(talk, side))
    kind, texts[place] = spoil_text(random, texts[place])
    changed: Talk = replace(talk, **{side: tuple(texts)})
    return f"text: {kind}", changed


# What is done to a row


HUGE_NUMBERS = (
    "123456789012345678901234567890",
    "-99999999999999999999",
    "1e400",
    "-1E+999",
    "1e-400",
    "0.1000000000000000055511151231257827",
    "18446744073709551616",
    "9007199254740993",
    "1" * 5000,
    "1.0",
    "1.10",
    "1E5",
    "-0",
    "-0.0",
    "1e999999999999999999999",
)
CONSTANTS = ("NaN", "Infinity", "-Infinity")
LONE = ('"\\ud800"', '"a\\udfffb"', '"\\ud83d \\ude00"', '"\\ud800\\ud800"')
NOT_JSON = ("nan", "None", "True", "'a'", "undefined", "01", "+1", ".5", "1.", '"\t"')


def draw_value(random: Random, *, is_plain: bool) -> Any:
    """Any value; `is_plain`: one that Arrow can hold, too."""
    plain: list[Any] = [None, True, 0, -1, 3.5, "", " ", "nan", [], {}, [None], ["a"]]
    if is_plain:
        return random.choice(plain)
    deep = random.choice([50, 500, 1_100, 20_000])
    odd: list[Any] = [
        Written(random.choice(HUGE_NUMBERS)),
        Written(random.choice(HUGE_NUMBERS)),
        Written(random.choice(CONSTANTS)),
        Written(random.choice(LONE)),
        Written(random.choice(NOT_JSON)),
        Written("[" * deep + "]" * deep),
        Written('{"a":' * deep + "1" + "}" * deep),
        Fields((("a", 1), ("a", 2))),
        [[["a"]]],
        {"value": "a"},
        {"text": "a", "type": "text"},
        {"role": "user", "content": "a"},
        "[1, 2]",
        '{"role": "user"}',
    ]
    return random.choice(plain + odd)


def list_places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value within a value."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    for key, each in inner:
        yield (*path, key)
        yield from list_places(each, (*path, key))


class Change(NamedTuple):
    """What was done to a row."""

    kind: str
    row: Any
    is_neutral: bool = False
    """Whether the same must be read as before."""
    keeps_roles: bool = True
    """Whether who says what is as before."""


def change_row(random: Random, row: Any, *, is_plain: bool) -> Change:
    """Do something to a row."""
    row = json.loads(json.dumps(row))
    kind = random.choice(["add", "add", *CHANGES])
    if kind == "add" and isinstance(row, dict):
        name = random.choice(["extra", "meta", "Ünique", " ", "idx", "lang"])
        row[name] = draw_value(random, is_plain=is_plain)
        shown = row[name].text[:12] if isinstance(row[name], Written) else row[name]
        is_row = not (isinstance(row[name], Written) and shown[:4] in NOT_READ)
        return Change(f"add {shown!r:.20}", row, is_neutral=is_row)
    places = list(list_places(row))
    path = random.choice(places)
    holder = row
    for key in path[:-1]:
        holder = holder[key]
    return CHANGES.get(kind, _retype)(random, row, holder, path[-1], is_plain)


def change_again(random: Random, done: Change, *, is_plain: bool) -> Change:
    """Do something more to a row that plain JSON can still hold."""
    try:
        json.dumps(done.row)
    except TypeError:
        return done
    if isinstance(done.row, Fields) or not done.row or _holds_written(done.row):
        return done
    more = change_row(random, done.row, is_plain=is_plain)
    return Change(
        f"{done.kind} and {more.kind}",
        more.row,
        is_neutral=done.is_neutral and more.is_neutral,
        keeps_roles=done.keeps_roles and more.keeps_roles,
    )


def _holds_written(value: Any) -> bool:
    """Whether a value holds JSON that is written as it stands."""
    if isinstance(value, Written | Fields):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return isinstance(value, dict | list) and any(map(_holds_written, inner))


NOT_READ = tuple(text[:4] for text in (*NOT_JSON, *LONE, "[[[[", '{"a":'))


def _retype(random: Random, row: Any, holder: Any, key: Any, plain: bool) -> Change:
    holder[key] = draw_value(random, is_plain=plain)
    return Change("retype", row, keeps_roles=False)


def _drop(random: Random, row: Any, holder: Any, key: Any, plain: bool) -> Change:
    del holder[key]
    return Change("drop", row, keeps_roles=isinstance(holder, dict) and key != "role")


def _repeat(random: Random, row: Any, holder: Any, key: Any, plain: bool) -> Change:
    if isinstance(holder, list):
        holder.insert(key, holder[key])
        return Change("repeat", row)
    holder[f"{key}_2"] = holder[key]
    return Change("repeat", row)


def _rename(random: Random, row: Any, holder: Any, key: Any, plain: bool) -> Change:
    if isinstance(holder, list):
        return _drop(random, row, holder, key, plain)
    names = [f" {key}", key.upper(), f"{key}s", "x", f"\ufeff{key}", "", "a.b", "text"]
    value = holder.pop(key)
    holder[random.choice(names)] = value
    return Change("rename", row, keeps_roles=False)


def _nest(random: Random, row: Any, holder: Any, key: Any, plain: bool) -> Change:
    name = random.choice(["value", "text", "content", "x"])
    holder[key] = random.choice([[holder[key]], {name: holder[key]}])
    return Change("nest", row, keeps_roles=False)


def _empty(random: Random, row: Any, holder: Any, key: Any, plain: bool) -> Change:
    holder[key] = random.choice([None, "", " \n", [], {}])
    return Change("empty", row, keeps_roles=False)


def _encode(random: Random, row: Any, holder: Any, key: Any, plain: bool) -> Change:
    holder[key] = json.dumps(holder[key])
    return Change("as JSON text", row, keeps_roles=False)


def _swap(random: Random, row: Any, holder: Any, key: Any, plain: bool) -> Change:
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    other = random.choice(keys)
    holder[key], holder[other] = holder[other], holder[key]
    return Change("swap", row, keeps_roles=False)


def _speak(random: Random, row: Any, holder: Any, key: Any, plain: bool) -> Change:
    roles = ["tool", "USER", " assistant ", "teacher", "gpt", "", None, "developer"]
    for path in list_places(row):
        if path[-1] in ("role", "from") and random.random() < 0.5:
            inner = row
            for step in path[:-1]:
                inner = inner[step]
            if isinstance(inner[path[-1]], str):
                inner[path[-1]] = random.choice(roles)
                break
    return Change("role", row, keeps_roles=False)


def _write_twice(
    random: Random, row: Any, holder: Any, key: Any, plain: bool
) -> Change:
    if plain or not isinstance(row, dict):
        return _repeat(random, row, holder, key, plain)
    name = random.choice(list(row))
    pairs = [*row.items(), (name, draw_value(random, is_plain=True))]
    return Change("key twice", Fields(tuple(pairs)), keeps_roles=False)


CHANGES: dict[str, Callable[[Random, Any, Any, Any, bool], Change]] = {
    "retype": _retype,
    "drop": _drop,
    "repeat": _repeat,
    "rename": _rename,
    "nest": _nest,
    "empty": _empty,
    "encode": _encode,
    "swap": _swap,
    "role": _speak,
    "twice": _write_twice,
}


def write_json(value: Any, *, ascii_only: bool = False) -> str:
    """The JSON of a row, which `json` need not be able to read."""
    if isinstance(value, Written):
        return value.text
    if isinstance(value, Fields):
        return _write_pairs(value.pairs, ascii_only=ascii_only)
    if isinstance(value, dict):
        return _write_pairs(tuple(value.items()), ascii_only=ascii_only)
    if isinstance(value, list):
        items = [write_json(each, ascii_only=ascii_only) for each in value]
        return f"[{', '.join(items)}]"
    return json.dumps(value, ensure_ascii=ascii_only)


def _write_pairs(pairs: tuple[tuple[str, Any], ...], *, ascii_only: bool) -> str:
    written = [
        f"{json.dumps(key, ensure_ascii=ascii_only)}: "
        f"{write_json(value, ascii_only=ascii_only)}"
        for key, value in pairs
    ]
    return f"{{{', '.join(written)}}}"

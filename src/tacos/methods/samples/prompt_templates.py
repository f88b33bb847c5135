r"""Finds the prompt template around the instructions of a data set, and sets it aside.

A template is what nearly all questions of a file have at their beginning and end, as far as it is
made of labels (`### Instruction:`), marks of chat formats (`<s>[INST]`) and known sentences that
say what every prompt of its kind says ("Below is an instruction that describes a task"). All else
says what to do, however many questions share it, and stays: "Translate into French:", the choices
of a quiz, a fence of code.

A data set may have a few templates, as Alpaca's prompt with and without an input. Taggers and
encoders do without; judges read the whole text, since it may say what the response must be, and
rows leave as they came.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from tacos.records import Turn

N_READ = 2_000
"""Questions of a file that templates are looked for in, from its beginning."""
LEAST = 20
"""Fewer distinct questions have no template: they may be alike by chance."""
COVERED = 0.9
"""The share of questions that the templates together must be around."""
BRANCH = 0.03
"""The share of questions that each template must be around."""
SHARED = 0.95
"""Of the questions with a template, the share that must have a heading."""
N_END_CHARS = 600
"""How far from a question's end its last label is looked for."""
N_SHOWN = 60
"""Characters of a template that its name shows."""

_WORD = (
    r"(?:human|user|question|instruction|input|prompt|problem|task|query|system|context"
    r"|assistant|gpt|bot|ai|model|response|answer|output|solution"
    r"|指令|指示|问题|問題|输入|輸入|回答|回复|答案|用户|助手|系统)"
)
_COLON = r"\s?[:：]"
HEADING = rf"#{{2,}}[ \t]*{_WORD}\b[ \t]*[:：]?"
"""A label that its signs tell from prose, wherever it stands: `### Instruction:`."""
LABEL = rf"[*_|<\[]*(?:{_WORD}|[qa])[*_|>\]]*{_COLON}[*_]*"
"""A label at the beginning of a line: `Question:`, `**Human**:`."""
SPEAKER = r"\b(?:USER|HUMAN|ASSISTANT|GPT|BOT|AI|Assistant|Human|User):"
"""A label within a line, as in Vicuna's prompt."""
MARK = (
    r"</?s>|<\|[^|<>\n]{1,40}\|>|\[/?(?:INST|SYS|SYSTEM_PROMPT|USER|ASSISTANT)\]|<</?SYS>>"
    r"|<(?:bos|eos|start_of_turn|end_of_turn)>"
)
"""Marks of chat formats: `<s>[INST]`, `<|im_end|>`. Others, such as `[MASK]`, are content."""
ROLE = r"(?<=<\|im_start\|>)\w{2,10}\n|(?<=<start_of_turn>)\w{2,10}\n"
"""Who speaks, after such a mark."""

_ASSISTANT = (
    r"(?:(?:a|an|the|very|helpful|honest|harmless|respectful|friendly|curious|intelligent"
    r"|knowledgeable|polite|unbiased|uncensored|ai|artificial|intelligence|language|and)\b,?\s+)*"
    r"(?:ai|assistant|chatbot|bot|model)\b"
)
_RESPONSE = (
    r"(?:please )?(?:write|provide|give) an? (?:response|answer|reply)"
    r" (?:that|which) (?:\w+ly )?(?:completes|answers|fulfills|satisfies|addresses)"
    r" the (?:request|instruction|question|task)\."
)
SENTENCES = (
    # Alpaca, WizardLM and many after them
    r"below (?:is|are) an? (?:instruction|question|task|query|request)"
    r"(?: (?:that|which) describes an? task)?"
    r"(?:, paired with an? (?:input|context)"
    r"(?: that provides (?:further|more|additional) (?:context|information))?)?\.",
    _RESPONSE,
    # Vicuna and FastChat
    r"(?:(?:the following|this|below) is )?an? (?:chat|conversation|dialogue)"
    rf" between an? (?:curious )?(?:user|human) and {_ASSISTANT}\.",
    r"the assistant gives helpful, detailed,? and polite answers"
    r" to the (?:user|human)['’]s questions\.",
    # Llama 2, Qwen, SmolLM
    rf"you are {_ASSISTANT}(?: (?:named|called) \w+)?"
    r"(?:,? (?:created|developed|made|trained) by [\w ]{1,40})?\.",
    r"you are \w+, (?:created|developed|made|trained) by [\w ]{1,40}\.",
    r"always answer as helpfully as possible, while being safe\.\s+your answers should not"
    r" [^\n]{1,200}\.\s+please ensure that your responses are [^\n]{1,100}\.",
    r"if a question does not make any sense[^\n]{1,150}\.\s+if you don['’]t know the answer"
    r"[^\n]{1,100}\.",
    r"be helpful\.",
    # Chains of thought
    r"let(?: u|['’])s think step by step[.:!]?",
    # Chinese versions of Alpaca's
    r"(?:下面|以下)是一?[个条]?描述(?:一个)?任务的?(?:一条)?(?:指令|说明)"
    r"(?:[，,](?:以及|并?与?)[^\n。]{0,20}(?:输入|上下文)[^\n。]{0,10})?[，。,]",
    r"请?(?:写出|编写|撰写|写)(?:一个)?(?:恰当|适当)(?:的|地)?"
    r"(?:完成(?:该)?请求的)?(?:回答|回复|响应)。",
    r"你是一个?(?:乐于助人的|有用的)?(?:人工智能)?助手。",
)
"""What every prompt of a kind says, whatever it asks."""

_EVERYWHERE = rf"{MARK}|{ROLE}|(?i:{'|'.join([HEADING, *SENTENCES])})"
_BEGIN = re.compile(rf"\s*(?:{_EVERYWHERE}|(?i:{LABEL}))\s*")
_END = re.compile(
    rf"(?:{_EVERYWHERE}|{SPEAKER}|(?m:^)[ \t]*(?i:{LABEL}))\s*\Z",
)
_HEADING = re.compile(rf"\s*(?<!\S){HEADING}\s*", re.IGNORECASE)


class PromptTemplate(NamedTuple):
    """The text before and after what questions ask, and the headings between their parts."""

    prefix: str
    suffix: str
    headings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its beginning, on one line."""
        text = self.prefix.strip() or self.suffix.strip()
        return " ".join(text.split())[:N_SHOWN]


def find_templates(questions: Sequence[str]) -> list[PromptTemplate]:
    """The templates that nearly all of the questions have, the longest first; none if there is no
    such thing.

    >>> questions = [f"### Question:\\nWhat is {i}?\\n\\n### Answer:" for i in range(20)]
    >>> find_templates(questions)
    [PromptTemplate(prefix='### Question:\\n', suffix='\\n\\n### Answer:', headings=())]
    >>> find_templates([f"Translate into French:\\nWhat is {i}?" for i in range(20)])
    []
    """
    distinct = list(dict.fromkeys(questions))
    if len(distinct) < LEAST:
        return []
    n_least = max(2, round(BRANCH * len(distinct)))
    frames = Counter(find_frame(text) for text in distinct)
    frequent = [
        PromptTemplate(*frame)
        for frame, count in frames.items()
        if count >= n_least and any(frame)
    ]
    ordered = sorted(frequent, key=_order_by_length)
    members: dict[PromptTemplate, list[str]] = {}
    for text in distinct:
        rest, template = strip_template(text, ordered)
        if template is not None:
            members.setdefault(template, []).append(rest)
    n_covered = sum(len(rests) for rests in members.values())
    if n_covered < COVERED * len(distinct):
        return []
    return [
        template._replace(headings=_find_headings(members[template]))
        for template in ordered
        if template in members
    ]


def find_frame(text: str) -> tuple[str, str]:
    """The labels, marks and known sentences at the beginning and the end of a text.

    >>> find_frame("[INST] What is ice? [/INST]")
    ('[INST] ', ' [/INST]')
    """
    start = 0
    while piece := _BEGIN.match(text, start):
        start = piece.end()
    end = len(text)
    while piece := _END.search(text, max(start, end - N_END_CHARS), end):
        end = start + len(text[start : piece.start()].rstrip())
    return text[:start], text[end:]


def strip_turns(
    turns: Sequence[Turn],
    templates: Sequence[PromptTemplate],
) -> tuple[tuple[Turn, ...], PromptTemplate | None]:
    """The turns with the user's texts out of their templates, and the template of the first such
    text (None: none has any).
    """
    stripped = []
    found = None
    for turn in turns:
        if turn.role == "user":
            text, template = strip_template(turn.text, templates)
            turn = turn._replace(text=text)
            found = found or template
        stripped.append(turn)
    return tuple(stripped), found


def strip_template(
    text: str,
    templates: Sequence[PromptTemplate],
) -> tuple[str, PromptTemplate | None]:
    """What a text asks, without the first template that it has, and that template.

    A text of which nothing would be left stays as it is.
    """
    for template in templates:
        if not _has_template(text, template):
            continue
        end = len(text) - len(template.suffix)
        inner = text[len(template.prefix) : end].strip()
        return _strip_headings(inner, template.headings), template
    return text, None


def _has_template(text: str, template: PromptTemplate) -> bool:
    """Whether a text has the template around something."""
    end = len(text) - len(template.suffix)
    if not text.startswith(template.prefix) or not text.endswith(template.suffix):
        return False
    return bool(text[len(template.prefix) : end].strip())


def _order_by_length(template: PromptTemplate) -> tuple[int, PromptTemplate]:
    return -len(template.prefix) - len(template.suffix), template


def _find_headings(texts: Sequence[str]) -> tuple[str, ...]:
    """Headings that nearly all texts have, such as `### Input:`."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update({heading.strip() for heading in _HEADING.findall(text)})
    headings = [
        heading for heading, count in counts.items() if count >= SHARED * len(texts)
    ]
    return tuple(sorted(headings))


def _strip_headings(text: str, headings: Sequence[str]) -> str:
    """A text with an empty line in the place of each heading."""
    if not headings:
        return text
    return _HEADING.sub(
        lambda found: "\n\n" if found[0].strip() in headings else found[0],
        text,
    ).strip()

"""A prompt template around every instruction is set aside before models read.

Case alpaca_template: of the TACOS authors' own LIMA file, where each question stands in Alpaca's
prompt, 578 of 1,000 rows were tagged "Response Generation", a tag of the template.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.small_world import (
    WORDS,
    encode_letters,
    judge_by_length,
    long_response,
    make_rows,
    tag_by_words,
)

import tacos
from tacos import config
from tacos.formats import reading
from tacos.methods.samples import prompt_templates, sample_parsing
from tacos.methods.samples.prompt_templates import find_templates, strip_template
from tacos.workflows.select import OutputTargets, run_selection

HEAD = "Below is an instruction that describes a task"
TASK = "Write a response that appropriately completes the request."
PLAIN = f"{HEAD}. {TASK}\n\n### Instruction:\n%s\n\n### Response:"
WITH_INPUT = (
    f"{HEAD}, paired with an input that provides further context. {TASK}\n\n"
    "### Instruction:\n%s\n\n### Input:\n%s\n\n### Response:"
)
WRAPPERS = {
    "alpaca": PLAIN,
    "llama": "<s>[INST] %s [/INST]",
    "llama with system": "[INST] <<SYS>>\nBe helpful.\n<</SYS>>\n\n%s [/INST]",
    "chatml": "<|im_start|>user\n%s<|im_end|>\n<|im_start|>assistant\n",
    "human": "### Human: %s\n### Assistant:",
    "vicuna": "A chat between a user and an assistant.\nUSER: %s ASSISTANT:",
    "question": "Question: %s\nAnswer:",
    "suffix": "%s\n\nLet us think step by step.",
    "chinese": "下面是一个描述任务的指令，请写出恰当的回答。\n\n### 指令：\n%s\n\n### 回答：",
}
QUESTIONS = [
    f"{verb} {word} {number}?"
    for number, (verb, word) in enumerate(
        (verb, word)
        for verb in ("What is", "Tell me about", "How does one make", "Why is there")
        for word in WORDS
    )
]


@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS)
def test_what_all_questions_share_is_found(wrapper: str) -> None:
    """Case alpaca_template, and the prompts of other projects."""
    wrapped = [wrapper.replace("%s", question) for question in QUESTIONS]
    templates = find_templates(wrapped)
    assert templates
    assert [strip_template(text, templates)[0] for text in wrapped] == QUESTIONS


def test_questions_with_and_without_an_input_have_a_template_each() -> None:
    """Alpaca's two prompts: the heading between instruction and input goes, too."""
    wrapped = [
        PLAIN % question if number % 3 else WITH_INPUT % (question, f"Input {number}.")
        for number, question in enumerate(QUESTIONS)
    ]
    templates = find_templates(wrapped)
    assert len(templates) == 2
    assert strip_template(wrapped[0], templates)[0] == f"{QUESTIONS[0]}\n\nInput 0."
    assert strip_template(wrapped[1], templates)[0] == QUESTIONS[1]


def test_a_few_questions_without_it_stay_as_they_are() -> None:
    wrapped = [PLAIN % question for question in QUESTIONS]
    wrapped[5] = "A question by itself"
    templates = find_templates(wrapped)
    assert strip_template(wrapped[5], templates) == ("A question by itself", None)
    assert strip_template(wrapped[6], templates)[0] == QUESTIONS[6]


def test_a_template_whose_lines_were_joined_is_found() -> None:
    """The 1,000 rows of Alpaca that the TACOS authors published: all white space is a space."""
    wrapped = [
        " ".join((PLAIN % question).split()).removesuffix(" ### Response:")
        if number % 3
        else " ".join((WITH_INPUT % (question, f"Input {number}.")).split())
        for number, question in enumerate(QUESTIONS)
    ]
    templates = find_templates(wrapped)
    assert strip_template(wrapped[0], templates)[0] == f"{QUESTIONS[0]}\n\nInput 0."
    assert strip_template(wrapped[1], templates)[0] == QUESTIONS[1]


TASKS = {
    "before": "Translate the following sentence into French:\n%s",
    "after": "%s\nClassify the sentiment as positive or negative.",
    "with choices": "Is this true? %s\nOptions:\n- yes\n- no",
    "a rule": "Answer in German.\n%s",
    "a part to play": "You are a pirate. Answer in rhymes.\n\n%s",
    "a blank": "%s The answer is [MASK]",
    "code": "Complete the function.\n```python\ndef f(x):\n    # %s\n    pass\n```",
    "below": "Below is a text about French. Write an answer in French.\n%s",
}


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize("wrapper", ["%s", "### Human: %s\n### Assistant:", PLAIN])
def test_what_says_what_to_do_stays(task: str, wrapper: str) -> None:
    """Issue 13's attack: three files of one task each became the same texts."""
    asked = [task.replace("%s", question) for question in QUESTIONS]
    wrapped = [wrapper.replace("%s", text) for text in asked]
    templates = find_templates(wrapped)
    assert [strip_template(text, templates)[0] for text in wrapped] == asked


def test_lines_within_a_question_stay() -> None:
    """Issue 13's attack: lines that most questions had ("}", "No") were deleted everywhere."""
    asked = [f"{word} {{\n  void f() {{\n  }}\n}}\nNo" for word in QUESTIONS]
    wrapped = [f"### Human: {text}\n### Assistant:" for text in asked]
    templates = find_templates(wrapped)
    assert [strip_template(text, templates)[0] for text in wrapped] == asked


def test_a_heading_of_a_few_questions_stays() -> None:
    """Only what nearly all questions with a template have is a part of it."""
    wrapped = [PLAIN % question for question in QUESTIONS]
    asked = "What does this mean in a prompt?\n\n### Input:\n2"
    wrapped.append(PLAIN % asked)
    assert strip_template(wrapped[-1], find_templates(wrapped))[0] == asked


ORDINARY = {
    "different questions": QUESTIONS,
    "few": [PLAIN % question for question in QUESTIONS[:12]],
    "half": [
        PLAIN % question if number % 2 else question
        for number, question in enumerate(QUESTIONS)
    ],
    "a shared sentence": [f"Write a Python function for {q}" for q in QUESTIONS],
    "a shared task": [f"Translate to French: {question}" for question in QUESTIONS],
    "a task before": [f"Translate to French:\n{question}" for question in QUESTIONS],
    "one question": [PLAIN % QUESTIONS[0]] * 50,
    "a line end": [f"{question}\n" for question in QUESTIONS],
    "empty": [""] * 50,
}


@pytest.mark.parametrize("questions", ORDINARY.values(), ids=ORDINARY)
def test_ordinary_questions_have_none(questions: list[str]) -> None:
    assert find_templates(questions) == []


@pytest.mark.parametrize("name", ["alpaca", "evol_instruct"])
def test_the_authors_own_files_have_it(name: str, shared_data: Path) -> None:
    path = shared_data / "published_selections" / f"filtered_{name}_1k_opencs.json.gz"
    (batch, *_) = reading.read_rows([path], 2_000)
    samples, _ = sample_parsing.parse_sample_batch(batch, config.IngestSettings())
    questions = [sample.turns[0].text for sample in samples]
    templates = find_templates(questions)
    for question in questions:
        asked, template = strip_template(question, templates)
        assert template is not None
        assert asked
        assert "Below is an instruction" not in asked


@pytest.mark.parametrize(
    "name",
    ["alpaca_data.json.gz", "dolly_3k.json.gz", "lima_1029.json.gz"],
)
def test_ordinary_corpora_have_none(name: str, shared_data: Path) -> None:
    settings = config.IngestSettings()
    (batch, *_) = reading.read_rows([shared_data / "corpora" / name], 2_000)
    samples, _ = sample_parsing.parse_sample_batch(batch, settings)
    questions = [sample.turns[0].text for sample in samples]
    assert len(questions) > 1_000
    assert find_templates(questions) == []


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
LINES = st.text(st.sampled_from("ab ?:#\n"), max_size=30)


@given(LINES, LINES, st.lists(TEXT, min_size=1, max_size=40))
def test_stripping_takes_nothing_but_what_is_shared(
    before: str, after: str, questions: list[str]
) -> None:
    """What is left of any question stands in it, and is never nothing."""
    wrapped = [before + question + after for question in questions]
    templates = find_templates(wrapped)
    for text in wrapped:
        rest, template = strip_template(text, templates)
        assert bool(rest.strip()) == bool(text.strip())
        if template is None:
            assert rest == text
        elif not template.headings:
            assert rest in text
            assert text.startswith(template.prefix)
            assert text.endswith(template.suffix)


@given(st.lists(TEXT, max_size=40))
def test_the_order_of_questions_does_not_matter(questions: list[str]) -> None:
    wrapped = [PLAIN % question for question in questions]
    assert find_templates(wrapped) == find_templates(wrapped[::-1])


def wrap_rows(n: int) -> list[dict[str, Any]]:
    return [
        {**row, "instruction": PLAIN % row["instruction"]}
        for row in make_rows(n, long_response)
    ]


def test_a_run_reads_what_the_template_is_around(tmp_path: Path) -> None:
    """Case alpaca_template: taggers and encoders see the questions, judges what the responses
    answer, and the output has the rows as they came.
    """
    seen: dict[str, list[str]] = {"tagger": [], "judge": [], "encoder": []}

    def tag(instructions: list[str]) -> list[list[str]]:
        seen["tagger"].extend(instructions)
        return tag_by_words(instructions)

    def judge(instructions: list[str], responses: list[str]) -> list[float]:
        seen["judge"].extend(instructions)
        return judge_by_length(instructions, responses)

    def encode(texts: list[str]) -> list[list[float]]:
        seen["encoder"].extend(texts)
        return encode_letters(texts)

    rows = wrap_rows(40)
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = tacos.select(
        tmp_path / "x.jsonl", n=5, tagger=tag, judge=judge, encoder=encode
    )
    assert set(seen["judge"]) == {row["instruction"] for row in rows}
    asked = {row["instruction"] for row in make_rows(40, long_response)}
    assert set(seen["tagger"]) == asked
    assert asked <= set(seen["encoder"])
    assert not any("###" in text for text in seen["encoder"])
    assert all(row in rows for row in done.rows)
    assert done.summary.templates == {
        "Below is an instruction that describes a task. Write a respo": 40
    }


def test_the_setting_turns_it_off(tmp_path: Path) -> None:
    chosen = config.load_settings("robust", None, ("ingest.templates=false",))
    done = run_selection(
        wrap_rows(40), chosen, OutputTargets(run=tmp_path / "run"), until="ingest"
    )
    samples = done.artifacts["samples"].scan().collect()
    assert samples["instruction"].str.contains("###").all()


def test_batches_of_any_size_agree(tmp_path: Path) -> None:
    """Templates are of a file's first rows, whatever batches it is read in."""
    wrapped = [PLAIN % question for question in QUESTIONS]
    assert len(wrapped) <= prompt_templates.N_READ
    assert find_templates(wrapped) == find_templates(wrapped * 3)

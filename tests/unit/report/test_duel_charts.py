"""The figure of duels: a bar per set, and the score of each on the same line."""

from tacos.methods.evaluating.duel_summary import JudgedDuel, summarise_duels
from tacos.report.charts import render_svg
from tacos.report.duel_charts import chart_duels, list_chart_rows


def build_duels(*names: str) -> list[JudgedDuel]:
    duels = []
    for name in names:
        for number in range(10):
            winner = "first" if number < 6 else "second"
            lengths = (100 + number, 90)
            duels.append(
                JudgedDuel(
                    ("<ours>", "theirs"),
                    str(number),
                    (winner, winner),
                    name,
                    lengths=lengths,
                )
            )
    return duels


def test_every_set_and_all_of_them_have_a_bar_with_its_n() -> None:
    missing = JudgedDuel(("<ours>", "theirs"), "99", (None, "tie"), "lima")
    (summary,) = summarise_duels([*build_duels("koala", "lima"), missing])
    labels = [label for label, _ in list_chart_rows(summary)]
    assert labels == [
        "koala (n = 10)",
        "lima (n = 10, 1 missing)",
        "all (n = 20, 1 missing)",
    ]
    drawn = render_svg(chart_duels([summary]))
    assert all(label in drawn for label in labels)
    # A name is text, whatever it looks like.
    assert "&lt;ours&gt; against theirs" in drawn


def test_both_halves_are_as_high_and_have_their_own_colours() -> None:
    summaries = summarise_duels(build_duels("a", "b", "c"))
    (panel,) = chart_duels(summaries)["vconcat"]
    assert panel["resolve"]["scale"]["color"] == "independent"
    left, right = panel["hconcat"]
    assert left["height"] == right["height"]


def test_one_set_is_one_bar_and_a_set_without_verdicts_is_drawn_too() -> None:
    (summary,) = summarise_duels(build_duels("a"))
    assert [label for label, _ in list_chart_rows(summary)] == ["a (n = 10)"]
    nothing = [JudgedDuel(("a", "b"), "1", (None, None), "a")]
    assert "a (n = 0, 1 missing)" in render_svg(chart_duels(summarise_duels(nothing)))

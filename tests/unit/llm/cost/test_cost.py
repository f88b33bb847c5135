"""Prices, budgets and quotes: arithmetic that must not be wrong."""

import random

import pytest

from tacos import amounts
from tacos.amounts import BudgetCap
from tacos.errors import ConfigError
from tacos.llm.cost import budget, prices
from tacos.llm.cost.budget import BudgetMeter, Cost, compute_cost
from tacos.llm.cost.forecast import (
    ForecastRange,
    RateLimits,
    RequestUsage,
    compute_wilson_range,
    forecast_stage,
    forecast_total,
)
from tacos.llm.cost.prices import ModelPrice


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(prices, "find_user_file", lambda: tmp_path / "prices.toml")
    return tmp_path


def test_the_shipped_table_is_dated_and_every_line_is_a_price() -> None:
    table = prices.read_shipped_prices()
    assert table["date"]
    for model in table["models"]:
        assert prices.find_price(model).usd(1e6, 0) > 0


def test_a_snapshot_costs_what_its_family_does() -> None:
    assert prices.find_price("gpt-4o-mini-2024-07-18") == prices.find_price(
        "gpt-4o-mini"
    )
    assert (
        prices.find_price("gpt-4o-mini").per_million_in
        < prices.find_price("gpt-4o").per_million_in
    )
    assert (
        prices.find_price("openai/gpt-4o").per_million_in
        == prices.find_price("gpt-4o").per_million_in
    )
    assert prices.find_price("my-model") is None


def test_a_users_table_and_options_go_first(own_folder) -> None:
    (own_folder / "prices.toml").write_text(
        'date = "today"\n[models]\n"gpt-4o" = {in = 1, out = 2}\n"mine" = {in=3, out=4}'
    )
    assert prices.find_price("gpt-4o").per_million_out == 2
    assert prices.find_price("mine").usd(1_000_000, 500_000) == 5
    assert prices.find_price("gpt-4o", 9.0).per_million_in == 9
    assert prices.find_price("gpt-4o", 9.0).per_million_out == 2
    with pytest.raises(ConfigError, match="price-in and --price-out"):
        prices.find_price("unheard-of", 1.0)


def test_a_broken_table_is_one_clear_error(own_folder) -> None:
    (own_folder / "prices.toml").write_text('[models]\n"gpt-4o" = 5')
    with pytest.raises(ConfigError, match="is not of the form"):
        prices.find_price("gpt-4o")


@pytest.mark.parametrize(
    ("text", "cap"),
    [
        ("5usd", BudgetCap(5, "usd")),
        ("$0.50", BudgetCap(0.5, "usd")),
        ("2.5 Mtokens", BudgetCap(2.5e6, "tokens")),
        ("10k requests", BudgetCap(10_000, "requests")),
        ("1,000requests", BudgetCap(1000, "requests")),
        ("", None),
    ],
)
def test_budgets_are_read(text: str, cap: BudgetCap | None) -> None:
    assert amounts.parse_budget(text) == cap


@pytest.mark.parametrize("text", ["5", "usd", "5 euros", "-5usd", "1.2.3usd"])
def test_other_budgets_are_errors(text: str) -> None:
    with pytest.raises(ConfigError, match="budget"):
        amounts.parse_budget(text)


def test_the_cap_holds_whatever_comes_back() -> None:
    random.seed(1)
    meter, price, flying = BudgetMeter(), ModelPrice(1.0, 2.0), []
    meter.cap = BudgetCap(0.01, "usd")
    for _ in range(10_000):
        most = compute_cost(price, 300, 200)
        if random.random() < 0.6 and meter.hold(most):
            flying.append(most)
        elif flying:
            real = compute_cost(price, random.randint(1, 300), random.randint(0, 200))
            meter.settle(flying.pop(), real)
        assert meter.spent.usd <= 0.01 + 1e-12
    assert meter.spent.usd > 0.01 - compute_cost(price, 300, 200).usd * (
        len(flying) + 1
    )
    assert "0.01usd is reached" in str(meter.reached())


def test_without_a_cap_everything_goes_and_is_counted() -> None:
    meter = BudgetMeter()
    assert meter.hold(Cost(1, 1e12, 1e12))
    meter.settle(Cost(1, 1e12, 1e12), Cost(1, 7, 0.5))
    assert meter.spent == Cost(1, 7, 0.5)


def test_a_quote_of_equal_requests_is_exact() -> None:
    found = forecast_stage(
        "tag",
        "m",
        1000,
        [RequestUsage(100, 10, 2.0)] * 20,
        0,
        ModelPrice(1.0, 10.0, batch=0.5),
        RateLimits(10),
    )
    assert found.requests.low == found.requests.mid == 1000
    assert (
        found.requests.high > 1000
    )  # twenty good answers do not prove that all will be
    assert found.prompt_tokens.mid == 100_000
    assert found.usd.mid == pytest.approx(0.1 + 0.1)
    assert found.usd_batch.mid == pytest.approx(found.usd.mid / 2)
    assert found.minutes.mid == pytest.approx(100 * 2 / 60)


def test_limits_set_the_pace() -> None:
    usages = [RequestUsage(100, 0, 0.1)] * 5
    assert forecast_stage(
        "tag", "m", 600, usages, 0, None, RateLimits(256, rpm=60)
    ).minutes.mid == pytest.approx(10)
    assert forecast_stage(
        "tag", "m", 600, usages, 0, None, RateLimits(256, tpm=6000)
    ).minutes.mid == pytest.approx(10)
    assert forecast_stage("tag", "m", 600, usages, 0, None, RateLimits(256)).usd is None


def test_the_range_holds_the_truth_about_as_often_as_it_says() -> None:
    random.seed(2)
    n, k, n_trials, n_held = 2000, 20, 400, 0
    for _ in range(n_trials):
        lengths = [random.gammavariate(4, 50) for _ in range(n)]
        found = forecast_total(lengths[:k], ForecastRange(n - k, n - k, n - k))
        n_held += found.low <= sum(lengths[k:]) <= found.high
    assert 0.85 <= n_held / n_trials <= 0.95


def test_a_share_never_leaves_0_and_1() -> None:
    assert compute_wilson_range(0, 20).low == 0
    assert 0 < compute_wilson_range(0, 20).high < 0.2
    assert compute_wilson_range(20, 20).high == 1
    assert compute_wilson_range(5, 20).low < 0.25 < compute_wilson_range(5, 20).high


@pytest.mark.parametrize(
    "line",
    [
        "{in = nan, out = 1}",
        "{in = -1, out = 1}",
        "{in = 1, out = inf}",
        "{in = 1}",
        "5",
    ],
)
def test_a_price_that_cannot_be_is_no_price(line, own_folder) -> None:
    """With any of them a budget in dollars would never be reached."""
    (own_folder / "prices.toml").write_text(f'[models]\n"mine" = {line}\n')
    with pytest.raises(ConfigError, match="not of the form"):
        prices.find_price("mine")


def test_a_price_table_must_be_a_table(own_folder) -> None:
    (own_folder / "prices.toml").write_text("models = 5\n")
    with pytest.raises(ConfigError, match="must be a table"):
        prices.find_price("mine")


def test_a_decimal_comma_is_not_ten_times_as_much() -> None:
    with pytest.raises(ConfigError, match="not of the form"):
        amounts.parse_budget("1,5usd")
    assert amounts.parse_budget("1,500requests").amount == 1500


def test_dollars_are_not_named_where_no_price_is_known() -> None:
    meter = budget.BudgetMeter()
    meter.cap = amounts.parse_budget("2requests")
    meter.settle(Cost(), compute_cost(None, 10, 10))
    assert "usd" not in str(meter.reached())

"""The report's page in a real browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_run import FULL, MARKUP, SPEC, make_run

from m2bench.report.write_report import write_report

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]
OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "run"
    with make_run(folder, spec=FULL) as store:
        write_report(store)
    return folder / "report.html"


@pytest.fixture(scope="module")
def odd_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a run with a very long name, and with markup in the name of a layer."""
    folder = tmp_path_factory.mktemp("odd") / ("x" * 200)
    with make_run(folder, spec=SPEC) as store:
        write_report(store)
    return folder / "report.html"


SIZE = {"width": 1280, "height": 900}


@pytest.fixture
def page(browser: Any, report: Path) -> Iterator[Any]:
    """The page as it is when it was opened."""
    page = browser.new_page(viewport=SIZE)
    page.goto(report.as_uri())
    yield page
    page.close()


@pytest.fixture(scope="module")
def opened_once(browser: Any, report: Path) -> Any:
    page = browser.new_page(viewport=SIZE)
    page.goto(report.as_uri())
    return page


@pytest.fixture
def unchanged(opened_once: Any) -> Any:
    """The page for tests that only look at it, in whatever size and colours: to open it takes most of their time."""
    opened_once.set_viewport_size(SIZE)
    opened_once.emulate_media(media="null", color_scheme="null")
    return opened_once


def column(page: Any, number: int) -> list[str]:
    """The texts of a column of the combinations that are shown."""
    cells: list[str] = page.locator(f".sortable tbody tr:not([hidden]) > :nth-child({number})").all_inner_texts()
    return cells


def numbers(texts: list[str]) -> list[float]:
    return [float(re.sub(r"[^0-9.].*", "", text.replace(",", ""))) for text in texts]


def test_the_page_asks_the_network_for_nothing_and_complains_of_nothing(browser: Any, report: Path) -> None:
    page = browser.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(report.as_uri())
    page.close()
    assert asked == [report.as_uri()]
    assert said == []


def test_it_says_the_main_result_first(unchanged: Any) -> None:
    heading = unchanged.locator("h1").inner_text()
    assert heading.startswith("Switch on amp + vectorized-loss: ")
    assert unchanged.locator(".sure").inner_text().startswith("Settled: ")
    advice = unchanged.locator(".advice").inner_text()
    assert advice.startswith(
        "Every layer of the set is shown to help, by the speed or by the time to the learning target."
    )
    assert unchanged.locator("figure svg").count() == 9


def test_combinations_can_be_sorted(page: Any) -> None:
    heading = page.locator(".sortable thead").get_by_text("episodes/min", exact=True)
    heading.click()
    ascending = numbers(column(page, 4))
    assert len(ascending) == 64
    assert ascending == sorted(ascending)
    heading.click()
    assert numbers(column(page, 4)) == ascending[::-1]
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("episodes/min")


def test_combinations_can_be_filtered_by_layer_and_text(page: Any) -> None:
    page.locator("select[data-layer=batching]").select_option("on")
    page.locator("select[data-layer=amp]").select_option("off")
    names = column(page, 2)
    assert len(names) == 16
    assert all("batching" in name and "amp" not in name for name in names)
    assert page.locator("output").inner_text() == "16 of 64 shown"
    page.get_by_label("Text").fill("dataloader+grad")
    assert page.locator("output").inner_text() == "4 of 64 shown"


def test_hovering_shows_the_trials_behind_a_figure_and_escape_hides_them(page: Any) -> None:
    cell = page.locator(".sortable tbody tr:not([hidden]) .tip").first
    tip = cell.locator("[role=tooltip]")
    assert not tip.is_visible()
    cell.hover()
    assert tip.is_visible()
    assert len(tip.locator("li").all()) == 3  # one a block
    page.keyboard.press("Escape")
    assert not tip.is_visible()


def test_everything_is_within_reach_of_the_keyboard(page: Any) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
    button = page.locator(".sortable tbody .tip button").first
    button.focus()
    assert page.locator(".sortable tbody [role=tooltip]").first.is_visible()
    heading = page.get_by_role("button", name="memory MB")
    heading.focus()
    page.keyboard.press("Enter")
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("memory MB")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_automated_check_finds_no_barrier(unchanged: Any, scheme: str) -> None:
    """By axe-core, whose rules follow WCAG 2."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    unchanged.emulate_media(color_scheme=scheme)
    found = axe.run(unchanged).response["violations"]
    assert not [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in found]


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_the_page_itself_never_scrolls_sideways(unchanged: Any, width: int) -> None:
    unchanged.set_viewport_size({"width": width, "height": 800})
    assert unchanged.evaluate("document.scrollingElement.scrollWidth") <= width


def test_the_table_of_combinations_fits_a_laptop(unchanged: Any) -> None:
    box = unchanged.locator(".scroll:has(.sortable)")
    assert box.evaluate("box => box.scrollWidth - box.clientWidth") <= 0


def test_on_a_phone_tables_keep_the_name_the_figure_and_the_verdict(unchanged: Any) -> None:
    unchanged.set_viewport_size({"width": 390, "height": 800})
    for table, kept in (
        (".sortable", ["layers", "speedup", "status"]),
        ("#pays table", ["layer", "alone", "verdict"]),
    ):
        columns = unchanged.locator(f"{table} thead th:visible").all_inner_texts()
        assert columns == kept
        box = unchanged.locator(f".scroll:has({table.split()[-1]})").first
        assert box.evaluate("box => box.scrollWidth - box.clientWidth") <= 0
    assert unchanged.locator("#pays .on-phone").inner_text().startswith("Not shown at this width: difficulty, ")


RIGHT_SHADOW = "box => getComputedStyle(box.parentElement, '::after').opacity"


def test_on_a_phone_a_chart_has_its_title_as_text_and_says_that_it_goes_on(page: Any) -> None:
    page.set_viewport_size({"width": 360, "height": 800})
    for figure in page.locator("figure").all():
        title, box, sideways = (figure.locator(name) for name in (".title", ".scroll", ".sideways"))
        assert title.inner_text() == figure.locator("svg").get_attribute("aria-label")
        assert title.evaluate("title => title.scrollWidth <= title.clientWidth")
        assert figure.locator(".hint").is_visible()
        assert box.evaluate(RIGHT_SHADOW) == "1"
        box.evaluate("box => box.scrollTo(box.scrollWidth, 0)")
        sync_api.expect(sideways).to_have_class("sideways too-wide more-left")
        assert box.evaluate(RIGHT_SHADOW) == "0"


def test_what_fits_says_nothing_of_scrolling(unchanged: Any) -> None:
    unchanged.set_viewport_size({"width": 1440, "height": 800})
    sync_api.expect(unchanged.locator("figure .hint:visible")).to_have_count(0)
    assert unchanged.locator("figure .scroll").first.evaluate(RIGHT_SHADOW) == "0"


def test_a_very_long_name_of_a_run_scrolls_nothing_sideways(browser: Any, odd_report: Path) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(odd_report.as_uri())
    width = page.evaluate("document.scrollingElement.scrollWidth")
    page.close()
    assert width <= 390


def test_it_prints_in_light_without_what_only_a_screen_needs(unchanged: Any) -> None:
    unchanged.emulate_media(media="print", color_scheme="dark")
    assert not unchanged.locator("nav").is_visible()
    assert not unchanged.locator("form.filter").is_visible()
    surface = unchanged.evaluate("getComputedStyle(document.querySelector('figure svg')).getPropertyValue('--c3')")
    assert surface == "#fdfdfc"
    assert len(unchanged.pdf()) > 10_000


def test_markup_in_a_name_is_shown_not_obeyed(browser: Any, odd_report: Path) -> None:
    page = browser.new_page()
    page.goto(odd_report.as_uri())
    names = page.locator(".sortable tbody th").all_inner_texts()
    scripts = page.locator("script").count()
    page.close()
    assert MARKUP in names
    assert scripts == 1

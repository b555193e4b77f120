"""The page of a study in headless Chromium: what a user sees, and what it asks for."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_study import write_page_study
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PATIENCE = 120.0  # seconds, where other tests share the cores
# Without those of the network, Chromium itself asks for updates.
OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("browser")
    write_page_study(results)
    return results / "index.html"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Debian's; skips where it is missing, or fails if the environment has REQUIRE_CHROMIUM=1."""
    driver, program = shutil.which("chromedriver"), shutil.which("chromium")
    if driver is None or program is None:
        reason = "no Chromium: apt-get install chromium-driver"
        if os.environ.get("REQUIRE_CHROMIUM") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for option in [*OPTIONS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    browser.set_page_load_timeout(PATIENCE)
    yield browser
    browser.quit()


def open_page(chromium: webdriver.Chrome, page: Path, width: int, scheme: str = "light") -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    chromium.get(page.as_uri())


def shown(chromium: webdriver.Chrome, selector: str) -> list[WebElement]:
    found = chromium.find_elements(By.CSS_SELECTOR, selector)
    return [element for element in found if element.is_displayed()]


def messages(chromium: webdriver.Chrome) -> list[dict[str, Any]]:
    """What Chromium tells of the network since the last call."""
    log = chromium.get_log("performance")
    return [json.loads(entry["message"])["message"] for entry in log]


@pytest.mark.parametrize("width", [390, 1400])
def test_tables_and_figures_are_seen_and_nothing_is_asked_for(
    chromium: webdriver.Chrome, page: Path, width: int
) -> None:
    messages(chromium)  # of the page before
    open_page(chromium, page, width)
    assert chromium.execute_script("return innerWidth") == width
    assert chromium.execute_script("return document.documentElement.scrollWidth") <= width
    figures = shown(chromium, ".drawn img")
    assert len(figures) == 1
    tables = shown(chromium, "main .scroll")
    assert len(tables) == 3  # of the ablation, and the runs on each dataset
    for element in [*figures, *tables]:
        assert element.size["width"] > 300
        assert element.size["height"] > 60
    assert chromium.execute_script("return arguments[0].naturalWidth", figures[0]) > 300
    for plot in shown(chromium, ".plot"):
        chromium.execute_script("arguments[0].scrollIntoView()", plot)
        lines = WebDriverWait(chromium, PATIENCE).until(
            lambda _, plot=plot: plot.find_elements(By.CSS_SELECTOR, ".mark-line path")
        )
        assert len(lines) == 6  # two variants, three seeds
        assert plot.size["width"] > 300
    assert [entry["message"] for entry in chromium.get_log("browser")] == []
    asked = [
        message["params"]["request"]["url"]
        for message in messages(chromium)
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert page.as_uri() in asked
    others = [url for url in asked if not url.startswith(("data:", "chrome:"))]
    assert set(others) == {page.as_uri()}


def test_a_table_is_sorted_from_the_keyboard(chromium: webdriver.Chrome, page: Path) -> None:
    open_page(chromium, page, 1400)
    (table, *_) = shown(chromium, "#runs table")
    (heading,) = (h for h in table.find_elements(By.TAG_NAME, "th") if h.text.startswith("test"))
    orders = []
    for _ in range(3):
        heading.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
        cells = table.find_elements(By.CSS_SELECTOR, "tbody td:nth-child(5)")
        orders.append([float(cell.text) for cell in cells])
    by_study = orders[2]
    assert orders[0] == sorted(by_study) != by_study
    assert orders[1] == sorted(by_study, reverse=True)


def test_search_leaves_what_has_all_words(chromium: webdriver.Chrome, page: Path) -> None:
    open_page(chromium, page, 1400)
    assert len(shown(chromium, "details.run")) == 12
    field = chromium.find_element(By.ID, "search")
    chromium.find_element(By.TAG_NAME, "body").send_keys("/")
    assert chromium.switch_to.active_element == field
    field.send_keys("patches seed1")
    runs = [element.get_attribute("id") for element in shown(chromium, "details.run")]
    assert runs == ["run-patches/r5/seed1", "run-patches/x1/seed1"]
    field.send_keys(Keys.ESCAPE)
    assert len(shown(chromium, "details.run")) == 12


def test_a_link_to_a_run_opens_it(chromium: webdriver.Chrome, page: Path) -> None:
    open_page(chromium, page, 390)
    run = chromium.find_element(By.ID, "run-digits/r5/seed1")
    assert "CPU" not in run.text
    chromium.execute_script("location.hash = 'run-digits/r5/seed1'")
    WebDriverWait(chromium, PATIENCE).until(lambda _: run.get_attribute("open"))
    assert "node1, CPU" in run.text
    assert "repeats 5" in run.text


def test_it_is_dark_where_the_system_is(chromium: webdriver.Chrome, page: Path) -> None:
    brightness = {}
    for scheme in ("light", "dark"):
        open_page(chromium, page, 1400, scheme)
        colour = chromium.find_element(By.TAG_NAME, "body").value_of_css_property(
            "background-color"
        )
        brightness[scheme] = int(colour.removeprefix("rgba(").split(",")[0])
    assert brightness["light"] > 230 > 60 > brightness["dark"]

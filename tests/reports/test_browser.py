"""Reports in a real browser: what is loaded, what is seen, on a phone and on a desktop."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import require
from tests.reports.runs import (
    attacked_suite,
    clean_suite,
    network,
    six_suites,
    write_run,
)
from tests.reports.test_report import OLD
from tinyedge.boards import load_board
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.firmware.project import build_firmware
from tinyedge.graph.tensors import Quantization
from tinyedge.reports.footprint import (
    Growth,
    check_gates,
    compare_records,
    firmware_footprint,
)
from tinyedge.reports.html import render_html
from tinyedge.reports.report import build_report, load_report

pytestmark = pytest.mark.needs_tool

WIDTHS = {"phone": 390, "desktop": 1280}
THEMES = ("light", "dark")
LARGEST = 3 * 1024 * 1024


PAINT = """
() => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d", {willReadFrequently: true});
  const painted = new Map();
  const paint = (colours) => {
    const key = colours.join("|");
    if (!painted.has(key)) {
      context.clearRect(0, 0, 1, 1);
      for (const colour of colours) {
        context.fillStyle = colour;
        context.fillRect(0, 0, 1, 1);
      }
      painted.set(key, [...context.getImageData(0, 0, 1, 1).data].slice(0, 3));
    }
    return painted.get(key);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some(
      (node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!own || ["SCRIPT", "STYLE", "title", "desc"].includes(element.tagName)) continue;
    const box = element.getBoundingClientRect();
    if (!box.width || !box.height) continue;
    const style = getComputedStyle(element);
    if (element.closest("[opacity='0']") || style.visibility === "hidden") continue;
    const behind = [];
    for (let at = element; at; at = at.parentElement) {
      if (!(at instanceof SVGElement)) behind.unshift(getComputedStyle(at).backgroundColor);
    }
    const ink = element instanceof SVGElement ? style.fill : style.color;
    const [first, second] = [light(paint(behind)), light(paint([...behind, ink]))];
    const ratio = (Math.max(first, second) + 0.05) / (Math.min(first, second) + 0.05);
    found.push([ratio, element.tagName + ": " + element.textContent.trim().slice(0, 40)]);
  }
  return found;
}
"""
"""The contrast of every text with what lies behind it (WCAG 2.2, relative luminance)."""

BOXES = """
(selector) => [...document.querySelectorAll(selector)].map((element) => {
  const box = element.getBoundingClientRect();
  return [element.outerHTML.slice(0, 80), box.left, box.right, box.width, box.height];
})
"""


@dataclass
class Seen:
    """A page, and what it did.

    Attributes:
        page: as it is shown.
        said: console messages and errors.
        asked_for: addresses.
    """

    page: Page
    said: list[str] = field(default_factory=list)
    asked_for: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium")
    require(["chromium"] if found else [], "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Reports as files: a large one, one with heat maps, one of an old record, one of them all."""
    folder = tmp_path_factory.mktemp("pages")
    image, sound = (
        network(folder / "image"),
        network(folder / "sound", (49, 10, 1), Quantization(0.58, 83)),
    )
    large = write_run(folder / "large.json", image, six_suites(folder, image, 1000))
    clean = clean_suite(sound, 40)
    suites = [clean, attacked_suite(sound, clean, "square", epsilon=8.0)]
    maps = write_run(folder / "maps.json", sound, suites, change=_profiled)
    runs = {"large": [large], "maps": [maps], "old": [OLD], "several": [large, maps, OLD]}
    pages = {"build": folder / "build.html"}
    pages["build"].write_text(render_html(build_report(_build(image, sound))), encoding="utf-8")
    wrong = [
        write_run(folder / f"wrong{each}.json", image, [clean_suite(image, 20)], wrong=each)
        for each in range(1, 7)
    ]
    for name, files in (runs | {"wrong": wrong, "history": wrong}).items():
        pages[name] = folder / f"{name}.html"
        made = load_report(files, history=name == "history")
        pages[name].write_text(render_html(made), encoding="utf-8")
    return pages


def _build(model: ConvertedModel, other: ConvertedModel) -> dict[str, Any]:
    """A footprint with all that there may be in it."""
    record, before = (
        firmware_footprint(each, build_firmware(each, load_board("netduinoplus2")))
        for each in (model, other)
    )
    record["compare"] = compare_records(before, record)
    record["gates"] = check_gates(record, 1, None, Growth(Fraction(100_000), percent=False))
    record["unit"], record["ram"]["stack_peak"] = "instructions", 608
    for layer in record["layers"]:
        layer["count"] = 1234.0
    return record


def _profiled(record: dict[str, Any]) -> None:
    layer = {"name": "a_layer_with_a_rather_long_name", "kernel": "te_conv2d_dsp_s8", "macs": 4900}
    layers = [layer | {"count": 9000.0}, layer | {"name": "dense", "count": 1000.0}]
    record["profile"] = {"unit": "instructions", "total": 1e4, "overhead": 12.0, "layers": layers}


def opened(browser: Browser, path: Path, width: int, theme: Any, **options: Any) -> Seen:
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=theme, **options
    )
    seen = Seen(context.new_page())
    seen.page.on("console", lambda message: seen.said.append(message.text))
    seen.page.on("pageerror", lambda error: seen.said.append(str(error)))
    seen.page.on("request", lambda request: seen.asked_for.append(request.url))
    seen.page.goto(path.as_uri())
    return seen


@pytest.mark.parametrize("name", ["build", "large", "maps", "old", "several", "wrong", "history"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", THEMES)
def test_everything_is_seen(
    browser: Browser, pages: dict[str, Path], name: str, width: str, theme: str
) -> None:
    seen = opened(browser, pages[name], WIDTHS[width], theme)
    page, limit = seen.page, WIDTHS[width]
    assert page.evaluate("document.documentElement.scrollWidth") <= limit
    figures = page.evaluate(BOXES, "figure, figure svg, img, .bar, .scroll, .card, .tiles li")
    assert len(figures) > 5
    for what, left, right, breadth, height in figures:
        assert breadth > 0, what
        assert height > 0, what
        assert left >= 0, what
        assert right <= limit + 0.5, what
    assert page.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")
    faint = [(ratio, text) for ratio, text in page.evaluate(PAINT) if ratio < 4.5]
    assert faint == []
    assert seen.said == []
    assert seen.asked_for == [pages[name].as_uri()]
    page.context.close()


@pytest.mark.parametrize("name", ["wrong", "history", "large", "build"])
def test_no_column_is_off_screen_on_a_phone(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    page = opened(browser, pages[name], WIDTHS["phone"], "light").page
    cells = page.evaluate(BOXES, "table:not(.matrix) :is(td, tbody th), .differs")
    assert len(cells) > 10
    for what, left, right, width, _ in cells:
        assert left >= 0, what
        assert right <= WIDTHS["phone"] or not width, what
    differing = page.locator("#comparison ~ * td.differs").all()
    assert len(differing) == {"wrong": 6, "history": 6}.get(name, 0)
    page.context.close()


@pytest.mark.parametrize("name", ["build", "large", "history", "several"])
def test_what_a_chart_says_is_not_cut_off(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    seen = opened(browser, pages[name], WIDTHS["phone"], "light")
    outside = seen.page.evaluate(
        """() => [...document.querySelectorAll("figure svg text")].filter((text) => {
          if (text.getAttribute("opacity") === "0") return false;
          const own = text.getBoundingClientRect();
          const whole = text.ownerSVGElement.getBoundingClientRect();
          return own.left < whole.left - 2 || own.right > whole.right + 2
            || own.top < whole.top - 2 || own.bottom > whole.bottom + 2;
        }).map((text) => text.textContent)"""
    )
    assert outside == []
    small = seen.page.evaluate(
        """() => [...document.querySelectorAll("figure svg text")].map(
          (text) => text.getBoundingClientRect().height)"""
    )
    assert min(small) >= 9
    seen.page.context.close()


def test_figures_have_names(browser: Browser, pages: dict[str, Path]) -> None:
    seen = opened(browser, pages["several"], WIDTHS["desktop"], "light")
    for role in ("img", "region"):
        everything = seen.page.get_by_role(role).all()
        assert everything
        named = seen.page.evaluate(
            """(role) => [...document.querySelectorAll(role === "img" ? "img, [role=img]"
              : "[role=region]")].every((element) => element.alt || element.ariaLabel
              || document.getElementById(element.getAttribute("aria-labelledby").split(" ")[0]))""",
            role,
        )
        assert named
    captions = seen.page.evaluate(
        "[...document.querySelectorAll('table')].every((table) => table.caption?.innerText)"
    )
    assert captions
    seen.page.context.close()


def test_theme_is_changed_with_the_keyboard_and_needs_no_storage(
    browser: Browser, pages: dict[str, Path]
) -> None:
    seen = opened(browser, pages["large"], WIDTHS["desktop"], "light")
    page = seen.page
    background = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(background)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Dark theme"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "Light theme"
    assert page.evaluate(background) != before
    assert [text for ratio, text in page.evaluate(PAINT) if ratio < 4.5] == []
    page.keyboard.press("Enter")
    assert page.evaluate(background) == before
    assert seen.said == []
    page.context.close()


def test_it_reads_without_scripts(browser: Browser, pages: dict[str, Path]) -> None:
    seen = opened(browser, pages["large"], WIDTHS["desktop"], "dark", java_script_enabled=False)
    assert seen.page.get_by_role("heading", name="Robustness").is_visible()
    assert not seen.page.locator(".theme").is_visible()
    seen.page.context.close()


def test_it_prints_on_white(browser: Browser, pages: dict[str, Path]) -> None:
    seen = opened(browser, pages["large"], WIDTHS["desktop"], "dark")
    page = seen.page
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.locator("nav").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert [text for ratio, text in page.evaluate(PAINT) if ratio < 4.5] == []
    printed = page.pdf(format="A4")
    assert printed.startswith(b"%PDF")
    assert seen.said == []
    page.context.close()


def test_a_thousand_samples_in_six_suites_stay_small(pages: dict[str, Path]) -> None:
    assert pages["large"].stat().st_size < LARGEST
    assert pages["large"].with_suffix(".json").stat().st_size < LARGEST

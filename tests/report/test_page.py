"""The page in a browser: quiet, alone, searchable, sortable by mouse and keyboard, and readable without script or colour."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from support.runs import made_run

import verify

SHOWN = (
    "[...document.querySelectorAll('#body tr')].map((row) => [...row.children].map((cell) => cell.innerText.trim()))"
)
HEADS = "[...document.querySelectorAll('#heads th')].map((head) => head.innerText.replace(/[ ↕↑↓]/gu, ''))"
SORTED = (
    "[...document.querySelectorAll('#heads th')].filter((head) => head.getAttribute('aria-sort') !== 'none')"
    ".map((head) => [head.innerText.replace(/[ ↕↑↓]/gu, ''), head.getAttribute('aria-sort')])"
)
STATUS = "document.getElementById('status').textContent"


@pytest.fixture
def big(page, tmp_path):
    """A page of 1,234 inputs, and their records."""
    run = made_run(tmp_path, 1234)
    page.open(verify.report(run, tmp_path / "report.html"))
    return page, run.records


def search(page, text):
    page.run(f"document.getElementById('search').value = {text!r}")
    page.run("document.getElementById('search').dispatchEvent(new Event('input'))")


def column(page, name):
    place = page.run(HEADS).index(name)
    return [row[place] for row in page.run(SHOWN)]


def test_a_whole_report_opens_quietly_and_asks_for_nothing_else(page, written):
    page.open(written)
    assert page.requests == [written.resolve().as_uri()]
    text = written.read_text(encoding="utf-8")
    assert not re.search(r"https?://|\bsrc=\"(?!data:)|@import|url\((?!#)", text)


def test_rows_are_those_of_the_run(big):
    page, records = big
    assert page.run(STATUS) == "1 to 100 of 1,234 inputs"
    assert column(page, "index") == [str(i) for i in range(100)]
    assert [text.split()[-1] for text in column(page, "state")] == [records[i].state for i in range(100)]
    signs = [text for text in column(page, "lower") if text == "> 0"]
    assert len(signs) == sum(records[i].lower == 5e-324 for i in range(100)) > 0


@pytest.mark.parametrize(
    ("words", "is_meant"),
    [
        ("17", lambda r: r.index == 17),
        ("label:4", lambda r: r.label == 4),
        ("predicted:4 FALSIFIED", lambda r: r.predicted == 4 and r.state == "falsified"),
        ("target:0", lambda r: r.target == 0),
        ("timeout", lambda r: r.reason == "timeout"),
        ("certified crown", lambda r: r.stage == "crown"),
        ("died", lambda r: r.state == "error"),
        ("nothing-like-it", lambda r: False),
    ],
)
def test_search_narrows_the_rows(big, words, is_meant):
    page, records = big
    search(page, words)
    meant = [r.index for r in records.values() if is_meant(r)]
    assert column(page, "index") == [str(i) for i in meant[:100]]
    assert f"{len(meant)} inputs (1,234 in all)" in page.run(STATUS)


def test_a_digest_is_found_by_its_beginning_and_shown_whole(big):
    page, records = big
    certificate = next(r.certificate.sha256 for r in records.values() if r.certificate)
    search(page, certificate[:20])
    page.run("document.querySelector('#body details').open = true")
    (row,) = page.run(SHOWN)
    assert certificate in row[page.run(HEADS).index("certificate")]


def test_filters_and_search_work_together_and_reset(big):
    page, records = big
    page.run(
        "(() => { const select = document.getElementById('filter-state');"
        "select.value = [...select.options].find((one) => one.text === 'falsified').value;"
        "select.dispatchEvent(new Event('change')); })()"
    )
    search(page, "label:3")
    meant = [str(r.index) for r in records.values() if r.state == "falsified" and r.label == 3]
    assert column(page, "index") == meant
    page.run("document.getElementById('clear').click(); new Promise((done) => setTimeout(done, 20))")
    assert page.run(STATUS) == "1 to 100 of 1,234 inputs"


@pytest.mark.parametrize("name", ["upper", "lower", "label", "seconds", "state"])
def test_a_click_on_a_name_sorts_and_says_so(big, name):
    page, records = big
    key = {"state": lambda r: r.state}.get(name, lambda r: getattr(r, name))
    known = [key(r) for r in records.values() if key(r) is not None]
    for order, falling in (("ascending", False), ("descending", True)):
        page.run(f"[...document.querySelectorAll('#heads th')][{page.run(HEADS).index(name)}].firstChild.click()")
        assert page.run(SORTED) == [[name, order]]
        shown = [records[int(i)] for i in column(page, "index")]
        assert [key(r) for r in shown] == sorted(known, reverse=falling)[:100]


def test_pages_turn(big):
    page, _ = big
    page.run("document.getElementById('next').click()")
    assert page.run(STATUS) == "101 to 200 of 1,234 inputs" and column(page, "index")[0] == "100"
    page.run("document.getElementById('last').click()")
    assert page.run(STATUS) == "1,201 to 1,234 of 1,234 inputs"
    assert page.run("[document.getElementById('next').disabled, document.getElementById('first').disabled]") == [
        True,
        False,
    ]


def test_everything_can_be_done_with_the_keyboard(big):
    page, _ = big
    page.press("Tab")
    assert page.run("document.activeElement.className") == "skip"
    page.press("Enter")
    assert page.run("document.activeElement.id") == "content"
    for _ in range(60):
        page.press("Tab")
        if page.run("document.activeElement.id") == "search":
            break
    page.write("label:7")
    assert set(column(page, "label")) == {"7"}
    for _ in range(20):
        page.press("Tab")
        if page.run("document.activeElement.innerText") == "upper":
            break
    page.press("Enter")
    assert page.run(SORTED) == [["upper", "ascending"]]
    page.press(" ")
    assert page.run(SORTED) == [["upper", "descending"]]
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.run(outline) == "solid", "the focus must be seen"


def test_a_link_to_an_input_finds_its_row(page, written, digits):
    page.open(written)
    page.run("document.querySelector('.gallery a.find').click()")
    first = next(r for r in digits["0.1"].records.values() if r.counterexample and not r.misclassified)
    assert column(page, "index") == [str(first.index)] and page.run("document.activeElement.id") == "inputs"


LUMINANCE = """
(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = (colour) => rgb(colour).slice(0, 3).map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
  const behind = (element) => { for (let at = element; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor; if (rgb(colour)[3] === 255) return colour; } return 'white'; };
  const worst = {};
  for (const element of document.querySelectorAll('main *, header *, footer *')) {
    const svg = element.closest('svg');
    if (svg ? element.tagName !== 'text' : ![...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
    if (!element.checkVisibility() || element.disabled) continue;
    const style = getComputedStyle(element);
    const text = light(svg ? style.fill : style.color);
    const under = light(element.classList.contains('inside') ? style.stroke : behind(svg || element));
    const contrast = (Math.max(text, under) + 0.05) / (Math.min(text, under) + 0.05);
    const name = `${element.tagName}.${element.getAttribute('class')}: ${element.textContent.trim().slice(0, 30)}`;
    if (contrast < 4.5) worst[name] = contrast;
  }
  return worst;
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast_in_both_schemes(page, written, scheme):
    page.media(scheme=scheme)
    page.open(written)
    assert page.run(LUMINANCE) == {}


def test_the_theme_follows_the_system_until_the_button_says_otherwise(page, written):
    page.open(written)
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    page.media(scheme="light")
    light = page.run(ground)
    page.media(scheme="dark")
    dark = page.run(ground)
    assert light != dark
    press = "document.getElementById('theme').click(); document.getElementById('theme').textContent"
    assert page.run(press) == "Theme: light" and page.run(ground) == light
    assert page.run(press) == "Theme: dark" and page.run(ground) == dark
    assert page.run(press) == "Theme: system" and page.run(ground) == dark


def test_print_is_light_and_without_controls(page, written, tmp_path):
    page.media(scheme="dark", media="print")
    page.open(written)
    assert page.run("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    gone = "['theme', 'controls'].map((id) => document.getElementById(id).checkVisibility())"
    assert page.run(gone) == [False, False]
    page.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_window(page, written, width):
    page.size(width, 800)
    page.open(written)
    assert page.run("document.documentElement.scrollWidth") <= width


def test_structure_is_there_for_a_screen_reader(page, written):
    page.open(written)
    levels = page.run("[...document.querySelectorAll('h1, h2, h3')].map((one) => Number(one.tagName[1]))")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    unnamed = {
        "an image of vectors": "svg:not([aria-hidden]):not([role=img][aria-labelledby])",
        "a picture": "img:not([alt])",
        "a column without scope": "thead th:not([scope]), tbody th:not([scope])",
        "a table without caption": "table:not(:has(caption))",
        "an input without label": "input:not([id]), select:not([id])",
    }
    for what, selector in unnamed.items():
        assert page.run(f"document.querySelectorAll({selector!r}).length") == 0, what
    missing = (
        "[...document.querySelectorAll('[aria-labelledby]')].flatMap((one) => one.getAttribute('aria-labelledby').split(' '))"
        ".filter((id) => document.querySelectorAll('#' + id).length !== 1)"
    )
    assert page.run(missing) == []
    assert page.run("[...document.querySelectorAll('input, select')].filter((one) => !one.labels.length).length") == 0
    assert (
        page.run("['header', 'nav', 'main', 'footer'].map((one) => document.querySelectorAll(one).length > 0)")
        == [True] * 4
    )


def test_without_script_the_page_says_where_the_rows_are(page, written, digits):
    page.script(on=False)
    page.open(written)
    text = page.run("document.body.innerText")
    assert "This table needs JavaScript" in text and str(Path(digits["0.1"].folder) / "samples.csv") in text
    assert "Search" not in text and "Theme" not in text

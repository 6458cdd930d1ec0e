"""How large a report of many inputs is, and how quickly it is written, opened and searched in a headless Chromium.

Run: python benchmarks/report_size.py [--inputs N] [--times N]. The run is made up: answers of every kind, with digests of
their files. Opened: the first frame after the load event, with the table in it. Of several openings the slowest counts.
Exits 1 where a report is 10 MB or more, or opens in two seconds or more.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from common import report

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.browser import Page, browser, browser_path
from support.runs import made_run

import verify

MEGABYTES, SECONDS = 10.0, 2.0  # bounds of 10,000 inputs
WORDS = ("timeout", "label:4", "abc")
_TIMED = """(() => { const begun = performance.now(); %s; document.body.offsetHeight; return performance.now() - begun; })()"""
_SEARCH = "const box = document.getElementById('search'); box.value = '%s'; box.dispatchEvent(new Event('input'))"
_SORT = "[...document.querySelectorAll('#heads button')].find((one) => one.textContent === 'lower').click()"


def main() -> int:
    """Print a row, and say whether the bounds hold."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--inputs", type=int, default=10_000)
    arguments.add_argument("--times", type=int, default=5)
    asked = arguments.parse_args()
    path = browser_path()
    if path is None:
        raise SystemExit("no Chromium is installed (on Debian: apt-get install chromium)")
    with tempfile.TemporaryDirectory() as name, browser(path, Path(name) / "profile") as running:
        run = made_run(Path("run"), asked.inputs)
        begun = time.perf_counter()
        file = verify.report(run, Path(name) / "report.html")
        written, size = time.perf_counter() - begun, file.stat().st_size / 1e6
        opened, searched, ordered = [], [], []
        for _ in range(asked.times):
            page = Page(running)
            page.open(file)
            opened.append(page.frame() / 1000)
            searched += [page.run(_TIMED % (_SEARCH % word)) for word in WORDS]
            ordered.append(page.run(_TIMED % _SORT))
    row = [
        asked.inputs,
        f"{size:.2f}",
        f"{written:.1f}",
        f"{max(opened):.2f}",
        f"{max(searched):.0f}",
        f"{max(ordered):.0f}",
    ]
    report("report_size", ["inputs", "MB", "written s", "opened s", "search ms", "sort ms"], [row])
    return int(size >= MEGABYTES or max(opened) >= SECONDS)


if __name__ == "__main__":
    sys.exit(main())

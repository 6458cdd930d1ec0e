"""The page: templates, style and script become one file that asks nothing of any network.

The content security policy names the hashes of our own style and script; the browser runs and fetches nothing else,
whatever text a report may hold.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import Any

import jinja2

from verify.wording import number, seconds


def page(**facts: Any) -> str:
    """The report of these ``facts``, the names that the templates use."""
    style, script = _asset("report.css"), _asset("report.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return _templates().get_template("report.html.j2").render(**facts, style=style, script=script, policy=policy)


@cache
def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("verify.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "number": number,
        "seconds": seconds,
        "percent": lambda value: f"{value:.2f} %",
        "count": lambda value: f"{value:,}",
    }
    return made


def _asset(name: str) -> str:
    return (resources.files("verify.report") / "templates" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")

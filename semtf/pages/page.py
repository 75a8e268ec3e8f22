"""The rendering of a page: its template inside the document that all pages share."""

from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

import semtf

STYLESHEET = Path(semtf.__file__).parent / "serving/page/style.css"
"""The stylesheet of the page of `semtf serve`: all pages look alike."""


@lru_cache
def _environment(package: str) -> jinja2.Environment:
    loaders = [jinja2.PackageLoader(name, "") for name in (package, "semtf.pages")]
    environment = jinja2.Environment(
        autoescape=True,
        loader=jinja2.ChoiceLoader(loaders),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    return environment


def render(package: str, template: str, **values: Any) -> str:
    """A page as HTML that needs no other file.

    Args:
        package: the package of the template.
        template: its file, which extends ``document.html``.
        values: what it shows.
    """
    style = markupsafe.Markup(STYLESHEET.read_text(encoding="utf-8"))  # noqa: S704 - our own file
    script = resources.files("semtf.pages").joinpath("document.js").read_text(encoding="utf-8")
    page = _environment(package).get_template(template)
    return page.render(style=style, script=markupsafe.Markup(script), **values)  # noqa: S704 - our own file


def render_part(package: str, template: str, **values: Any) -> str:
    """A part of a page, as HTML; arguments as `render` has them."""
    return _environment(package).get_template(template).render(**values)


def number(value: float | int | None, digits: int = 3) -> str:
    """A number with so many significant digits; a dash where there is none."""
    if value is None or value != value:
        return "–"
    if isinstance(value, int) or abs(value) >= 10**digits:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.{digits}g}".replace("-", "−")

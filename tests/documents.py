"""What pages say in blocks of code, for the tests that run it."""

import re
import shlex
from pathlib import Path

import click

from semtf.cli.main import semtf

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, kind: str) -> list[tuple[str, str]]:
    """The blocks of a kind on a page, such as ``python``, each after the heading it is below."""
    found, heading = [], ""
    text = page.read_text(encoding="utf-8")
    for title, block_kind, block in re.findall(
        r"^#+ ([^\n]+)$|^```([a-z]*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE
    ):
        heading = title or heading
        if block_kind == kind:
            found.append((heading, block))
    return found


def command_lines(page: Path) -> list[str]:
    """The commands of semtf on a page, and those of its scripts."""
    texts = [block.replace("\\\n", " ") for _, block in blocks(page, "console")]
    lines = [line for text in texts for line in text.splitlines()]
    return [line for line in lines if line.startswith(("semtf ", "semtf-train ", "scripts/"))]


def parsed(line: str, more: tuple[str, ...] = ()) -> click.Context:
    """A command of semtf as click understands it, with ``more`` options behind it."""
    name, *arguments = shlex.split(line, comments=True)
    if name == "semtf":
        name, *arguments = arguments
    command = semtf.get_command(click.Context(semtf), name.removeprefix("semtf-"))
    assert command is not None, line
    return command.make_context(name, [*arguments, *more])


def run(line: str, more: tuple[str, ...] = ()) -> None:
    """Run a command of semtf in this process."""
    with parsed(line, more) as context:
        context.command.invoke(context)

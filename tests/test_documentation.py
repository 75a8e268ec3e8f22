"""The documents name every room of the house, and no room that is gone."""

import re
import sys
from pathlib import Path

import pytest

import semtf

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PACKAGE = Path(semtf.__file__).parent
PACKAGES = {f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")}
MODULES = {path.name for path in PACKAGE.glob("*.py")}
SERVING = {f"{path.name}/" for path in (PACKAGE / "serving").iterdir() if path.is_dir()} - {
    "__pycache__/"
}


def tree(page: str) -> str:
    """The last block of a page that is a tree of the package."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [block for block in blocks if "cli/" in block][-1]


def entries(block: str) -> set[str]:
    """What the lines of a tree begin with, and the modules that they name."""
    folders = set(re.findall(r"^ *([a-z_]+/)", block, re.MULTILINE))
    return folders | set(re.findall(r"[a-z_]+\.py", block))


def test_the_architecture_names_every_package_and_module() -> None:
    named = entries(tree("docs/architecture.md"))
    assert (PACKAGES | MODULES | SERVING) - named == set()


@pytest.mark.parametrize("page", ["docs/architecture.md", "README.md"])
def test_what_a_tree_names_is_there(page: str) -> None:
    present = {path.name for path in PACKAGE.rglob("*.py")}
    present |= {f"{path.name}/" for path in PACKAGE.rglob("*") if path.is_dir()}
    outside = {"semtf/", "scripts/", "saved_models/", "tests/"}
    assert entries(tree(page)) - present - outside == set()


def test_the_readme_names_every_package() -> None:
    assert PACKAGES - entries(tree("README.md")) == set()


@pytest.mark.parametrize("page", ["docs/architecture.md", "README.md"])
def test_packages_stand_in_the_order_of_their_layers(page: str) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    rank = {name: i for i, layer in enumerate(layers) for name in layer.split(" | ")}
    lines = re.findall(r"^ {0,2}([a-z_]+)(?:/|\.py)", tree(page), re.MULTILINE)
    ranks = [rank[name] for name in lines if name in rank]
    assert ranks == sorted(ranks)


def test_every_module_has_a_layer() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    placed = {name for layer in layers for name in layer.split(" | ")}
    names = {name.rstrip("/").removesuffix(".py") for name in PACKAGES | MODULES}
    assert names - {"__init__"} == placed

"""Errors of Python calls speak of arguments; those of commands of options."""

from pathlib import Path

import pytest

import semtf
from semtf import pipeline
from semtf.python_words import python_words


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("there is one; choose another --run", "there is one; choose another run="),
        ("--k 0: at least one neighbour", "k=0: at least one neighbour"),
        ("leave it out with --skip-bad", "leave it out with skip_bad=True"),
        ("no run; leave --resume out", "no run; leave resume=True out"),
        ("finds all; use --index scann", 'finds all; use index="scann"'),
        ("--recall: the exact index finds all", "recall=: the exact index finds all"),
        ("try --set adaptation.width=8 first", 'try config={"adaptation.width": 8} first'),
        ("--set width: no such field", "config: width: no such field"),
        ("go on with semtf-train --resume", "go on with semtf-train --resume"),
        ("see `semtf config` for all", "see `semtf config` for all"),
        ("make one with semtf-train --run", "make one with semtf-train --run"),
        ("image a--b.png: is no PNG", "image a--b.png: is no PNG"),
    ],
)  # fmt: skip
def test_options_become_arguments(message: str, words: str) -> None:
    assert python_words(message) == words


def test_public_functions_speak_python_and_the_rooms_options(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("mine")
    with pytest.raises(semtf.InputError, match=r"an empty folder for run=$"):
        semtf.train("nowhere", run=tmp_path)
    with pytest.raises(semtf.InputError, match=r"an empty folder for --run$"):
        pipeline.train("nowhere", run=tmp_path)
    assert semtf.train.__doc__ == pipeline.train.__doc__
    assert semtf.train is semtf.train


def test_wrong_words_are_named_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(semtf.InputError, match=r"^index=faiss: is none of scann, exact$"):
        semtf.export("nowhere", tmp_path / "1", index="faiss")
    with pytest.raises(semtf.InputError, match=r"^config\.adaptation\.width: expected int"):
        semtf.train("nowhere", run=tmp_path / "run", config={"adaptation.width": [8]})


def test_the_package_lists_its_public_names_alone() -> None:
    assert dir(semtf) == sorted(semtf.__all__)

"""The licences of every locked dependency; exit code 1 where one clashes with Apache-2.0.

    scripts/licences.py            # a table
    scripts/licences.py --check    # only what clashes or is unknown

A clash is a licence that asks for its own terms on what is distributed together: GPL and AGPL
without an exception, and terms that are not free. LGPL and MPL let a program import the library.
What a wheel says of itself is taken: License-Expression, else its classifiers, else License, else
the first line that names one in the licence that it brings along.
"""

import argparse
import re
import sys
from importlib import metadata
from pathlib import Path

LOCK = Path(__file__).parent / "requirements.lock"
NAME = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)
CLASH = re.compile(
    r"(?<!L)GPL|AGPL|GNU (?:Affero )?General Public|SSPL|Commons Clause|NonCommercial"
)
WEAK = re.compile(r"LGPL|Lesser|GPL.*exception|WITH .*exception", re.IGNORECASE)


def licence(name: str) -> str | None:
    """The licence of an installed package; empty where it names none, None where it is missing."""
    try:
        fields = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    for expression in fields.get_all("License-Expression") or []:
        return str(expression)
    classifiers = [
        entry.rpartition(" :: ")[2]
        for entry in fields.get_all("Classifier") or []
        if entry.startswith("License ::") and entry != "License :: OSI Approved"
    ]
    if classifiers:
        return ", ".join(classifiers)
    for text in fields.get_all("License") or []:
        if lines := str(text).strip().splitlines():
            return lines[0].strip()[:60]
    naming = (line.strip() for line in licence_file(name).splitlines() if "icense" in line)
    return next(naming, "")[:60]


def licence_file(name: str) -> str:
    """The text of the licence that a wheel brings along; empty where it brings none."""
    for file in metadata.files(name) or []:
        if "licenses" in file.parts or file.name.upper().startswith("LICENSE"):
            return file.read_text()
    return ""


def clashes(text: str) -> bool:
    """Whether a licence asks for more than Apache-2.0 can give, in each of its alternatives."""
    alternatives = re.split(r"\bOR\b|,", text)
    return all(CLASH.search(part) and not WEAK.search(part) for part in alternatives)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lock", type=Path, default=LOCK, help="the lock file to look into")
    parser.add_argument("--check", action="store_true", help="print only what is wrong")
    arguments = parser.parse_args()
    names = sorted(set(NAME.findall(arguments.lock.read_text(encoding="utf-8"))))
    found = {name: licence(name) for name in names}
    installed = {name: text for name, text in found.items() if text is not None}
    wrong = {name: text for name, text in installed.items() if not text or clashes(text)}
    for name, text in installed.items():
        if name in wrong:
            print(f"{name}: {text or 'names no licence'} CLASHES OR IS UNKNOWN")
        elif not arguments.check:
            print(f"{name}: {text}")
    elsewhere = len(found) - len(installed)
    print(
        f"{len(installed)} locked packages, {len(wrong)} that clash with Apache-2.0 or name no "
        f"licence; {elsewhere} are for other systems or not installed",
        file=sys.stderr,
    )
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()

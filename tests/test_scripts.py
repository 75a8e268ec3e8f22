"""Every script of `scripts/` finds what it imports, at its top and inside its functions."""

import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[1] / "scripts"

IMPORTER = r'''
"""Print a line for every import of the given scripts that fails; TensorFlow loads once."""

import ast
import importlib
import sys
from pathlib import Path

folder, *names = sys.argv[1:]
sys.path.insert(0, folder)
ours = {"semtf", *names}
failed = []
for name in names:
    failed.clear()
    tree = ast.parse(Path(folder, name + ".py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = {alias.name: [] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules = {node.module: [alias.name for alias in node.names]}
        else:
            continue
        for module, members in modules.items():
            if module.partition(".")[0] not in ours:
                continue  # Torch and a browser are no needs of the package.
            try:
                loaded = importlib.import_module(module)
                for member in members:
                    if not hasattr(loaded, member):
                        importlib.import_module(f"{module}.{member}")
            except ModuleNotFoundError as error:
                if error.name.partition(".")[0] in ours:
                    failed.append(f"{name}.py, line {node.lineno}: {error}")
    if failed:
        print(*failed, sep="\n")
        continue
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name.partition(".")[0] in ours:
            raise
'''


def failed_imports(folder: Path) -> list[str]:
    names = sorted(path.stem for path in folder.glob("*.py"))
    assert names
    done = subprocess.run(
        [sys.executable, "-c", IMPORTER, str(folder), *names],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_every_script_finds_what_it_imports() -> None:
    assert failed_imports(SCRIPTS) == []


def test_an_import_that_a_rename_broke_is_reported(tmp_path: Path) -> None:
    (tmp_path / "first.py").write_text("from semtf.config import SHAPE, FORM\n")
    (tmp_path / "second.py").write_text("def run():\n    import semtf.wire\n    import torchless\n")
    (tmp_path / "third.py").write_text("from second import run, walk\n")
    first, second, third = failed_imports(tmp_path)
    assert first.startswith("first.py, line 1: No module named 'semtf.config.FORM'")
    assert second.startswith("second.py, line 2: No module named 'semtf.wire'")
    assert third.startswith("third.py, line 1: No module named 'second.walk'")

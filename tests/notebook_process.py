"""The notebook for Kaggle, executed: by tests, or as ``notebook_process.py SETTINGS FOLDER``."""

import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "scripts/kaggle_notebook.ipynb"
SECONDS = 1800


def executed(settings: str, folder: Path | str) -> list[Any]:
    """The code cells after a run of the notebook, with ``settings`` behind its parameters."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source += "\n" + settings
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=SECONDS, resources=resources).execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


if __name__ == "__main__":
    executed(*sys.argv[1:])

"""Which kind of index searches: ScaNN where it loads, the exact one elsewhere."""

from functools import cache

from semtf.config import IndexChoice, IndexKind
from semtf.errors import InputError
from semtf.progress import warn
from semtf.retrieval.index import ExactIndex, Index
from semtf.retrieval.scann_index import ScannIndex
from semtf.retrieval.scann_operations import scann_operations

INDEX_CLASSES: dict[IndexKind, type[Index]] = {"exact": ExactIndex, "scann": ScannIndex}


def resolve_index(choice: IndexChoice) -> IndexKind:
    """The kind of index to search with.

    Args:
        choice: ``"auto"`` is ScaNN where it loads and the exact search elsewhere, which is said
            once; the other choices stand, and ScaNN then fails where it does not load.
    """
    return _automatic_index() if choice == "auto" else choice


def index_class(choice: IndexChoice) -> type[Index]:
    """The class of index to search with; arguments as in `resolve_index`."""
    return INDEX_CLASSES[resolve_index(choice)]


@cache
def _automatic_index() -> IndexKind:
    try:
        scann_operations()
    except InputError as error:
        reason = str(error).partition("; ")[0]
        warn(f"the exact index searches in place of ScaNN's: {reason}")
        return "exact"
    return "scann"

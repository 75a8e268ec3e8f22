"""The classes of the adapters in `semtf.adapter_table`, by name."""

from collections.abc import Callable
from typing import TypeVar

from semtf.adaptation.base import FittedAdapter
from semtf.adapter_table import ADAPTERS, AUTO, AdapterInfo, check_adapters

Class = TypeVar("Class", bound=type[FittedAdapter])

CLASSES: dict[str, type[FittedAdapter]] = {}


def register(name: str, info: AdapterInfo | None = None) -> Callable[[Class], Class]:
    """Decorator of the class of an adapter, which the settings then know by name.

    Args:
        name: what ``adaptation.adapter`` and ``adaptation.candidates`` call it.
        info: cost and description; those in `semtf.adapter_table.ADAPTERS` where None.

    Raises:
        ValueError: the name is taken, or nothing is known of the adapter.
    """
    if name == AUTO or name in CLASSES or (info is not None and name in ADAPTERS):
        raise ValueError(f"the adapter name {name!r} is taken; choose another one")
    if info is None and name not in ADAPTERS:
        raise ValueError(f"nothing is known of the adapter {name!r}; give its AdapterInfo")

    def registered(kind: Class) -> Class:
        ADAPTERS[name] = info or ADAPTERS[name]
        CLASSES[name] = kind
        return kind

    return registered


def unregister(name: str) -> None:
    """Forget an adapter; settings that name it are refused from then on."""
    del ADAPTERS[name], CLASSES[name]


def adapter_class(name: str) -> type[FittedAdapter]:
    """The class of an adapter; raises InputError where none has that name."""
    check_adapters("adaptation.adapter", (name,), tuple(CLASSES))
    return CLASSES[name]

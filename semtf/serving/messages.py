"""Errors of TensorFlow in one line that a client can read."""

import re

PLACES = re.compile(
    r"\[\[\s*(?:\{\{[^}]*\}\}\s*)+\]\]|\{\{[^}]*\}\}|\[Op:[^\]]*\]"
    r"|Graph execution error:|Detected at node .*?\(most recent(?: call last)?\):"
    r"|<stack traces unavailable>"
    r"|\d+ root error\(s\) found\.|\(\d+\) [A-Z_]+: |\d+ successful operations\..*"
)
"""What TensorFlow says of the places in a graph: nothing to a client."""


def readable(error: object) -> str:
    """The message of an assertion in the graph, without what TensorFlow puts around it."""
    text = one_line(PLACES.sub(" ", one_line(error)))
    _, separator, message = text.partition("assertion failed: ")
    return message.removeprefix("[").removesuffix("]") if separator else text


def one_line(text: object) -> str:
    """A text without line breaks."""
    return " ".join(str(text).split())

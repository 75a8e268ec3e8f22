"""Errors of TensorFlow in one line that a client can read."""


def readable(error: object) -> str:
    """What a check in the graph says, without what TensorFlow puts around it."""
    text = one_line(error).split(" [[{{node", 1)[0]
    _, found, said = text.partition("assertion failed: ")
    return said.removeprefix("[").removesuffix("]") if found else text


def one_line(text: object) -> str:
    """A text without line breaks."""
    return " ".join(str(text).split())

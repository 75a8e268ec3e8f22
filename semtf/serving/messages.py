"""Errors of TensorFlow in one line that a client can read."""


def readable(error: object) -> str:
    """The message of an assertion in the graph, without what TensorFlow puts around it."""
    text = one_line(error).split(" [[{{node", 1)[0]
    _, separator, message = text.partition("assertion failed: ")
    return message.removeprefix("[").removesuffix("]") if separator else text


def one_line(text: object) -> str:
    """A text without line breaks."""
    return " ".join(str(text).split())

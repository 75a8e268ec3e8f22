"""The bearer token that a server asks for and a client sends."""

from pathlib import Path

from semtf.errors import InputError

MIN_LENGTH = 16


def read_token(path: Path) -> str:
    """The token in the first line of a file.

    Raises:
        InputError: there is none, or it is short or has other than printable ASCII characters.
    """
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--token-file {path}: cannot be read ({error})") from error
    if len(text) < MIN_LENGTH or not all("!" <= letter <= "~" for letter in text):
        raise InputError(
            f"--token-file {path}: write one line of at least {MIN_LENGTH} characters without "
            "spaces, such as openssl rand -hex 32 prints"
        )
    return text

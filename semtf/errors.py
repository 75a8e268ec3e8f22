"""The one error a user can mend: bad input or a bad call."""


class InputError(Exception):
    """The input or the call is wrong: one line that names the file or option and the way out.

    The commands print it without a traceback and exit with code 2.
    """

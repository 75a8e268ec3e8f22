"""The errors a user can mend: bad input, a bad call, a training that went wrong."""


class InputError(Exception):
    """The input or the call is wrong: one line that names the file or option and the way out.

    The commands print it without a traceback and exit with code 2.
    """


class TrainingError(Exception):
    """Training went wrong: one line that says why and what to try.

    The commands print it without a traceback and exit with code 1.
    """

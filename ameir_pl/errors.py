"""The errors a user can cause. They carry the whole message; the command line prints it and exits with 2."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable


class AmeirError(Exception):
    """A mistake in the input: what is wrong, what was found, where, and what to do."""


class NotFinite(AmeirError):
    """The loss of a training was NaN or infinite; of several processes, one may say so before the others."""


class Stopped(BaseException):
    """The user or the machine asked to stop, and what was done is saved.

    Args:
        signal: the number of the signal that asked.
    """

    def __init__(self, signal: int) -> None:
        super().__init__(signal)
        self.signal = signal


_MACHINE = {errno.ENOSPC: "make room", errno.EDQUOT: "make room", errno.EFBIG: "make room",
            errno.EACCES: "give the permission, or name another place", errno.EPERM: "give the permission, or name "
            "another place", errno.EROFS: "name another place", errno.EIO: "look after the disk",
            errno.EMFILE: "raise the limit of open files (ulimit -n)", errno.ENAMETOOLONG: "take a shorter name"}


def explained(error: OSError) -> AmeirError | None:
    """Return the ``AmeirError`` for what is the machine's or the user's to mend (a full disk, a permission), None
    for any other."""
    if error.errno not in _MACHINE:
        return None
    where = f"{error.filename}: " if error.filename else ""
    return AmeirError(f"{where}{error.strerror}. What was kept before is whole: {_MACHINE[error.errno]}, and give the "
                      "same command again.")


_LONGEST_NAME, _MOST_NAMES, _LISTED = 100, 2000, 1000


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest known name, or the list of known names.

    Names may come from a file that is anything: what is compared and said of them is bounded.
    """
    names = [name[:_LONGEST_NAME] for name in sorted(known)[:_MOST_NAMES]]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f" Did you mean '{near[0]}'?"
    listed = ", ".join(names)
    return f" Known: {listed if len(listed) <= _LISTED else listed[:_LISTED] + ', …'}." if names else ""

"""Files of ARM's own that hold something wrong are put aside: kept under another name, to be looked at.

The daemon then starts with what it could read. At most MOST of a kind are kept, the newest ones, so that a directory
does not fill up when something goes wrong again and again.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

MOST: Final = 3
"""Files of each kind that are kept."""


def put_aside(path: Path, *, kind: str = "", stays: bool = False) -> None:
    """Keep `path` as `KIND.damaged-1`, by default that of its own name; older ones count up. Logged, never raises.

    With `stays`, the file also stays where it is, since a part of it is still of use: the two are one file until
    whoever owns it puts a new one in its place.
    """
    names = [path.with_name(f"{kind or path.name}.damaged-{number}") for number in range(1, MOST + 1)]
    try:
        if any(name.exists() and name.samefile(path) for name in names):
            return  # put aside by an earlier start, and nothing took its place since
        for older, newer in zip(reversed(names), reversed(names[:-1]), strict=False):
            with contextlib.suppress(FileNotFoundError):
                os.replace(newer, older)
        (os.link if stays else os.replace)(path, names[0])
    except OSError as error:
        log.warning("damaged file not put aside file=%s error=%r", path, str(error))
    else:
        log.warning("damaged file put aside file=%s kept_as=%s", path, names[0])

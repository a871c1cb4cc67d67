"""Where numba keeps what it compiles, and matplotlib its fonts, if neither the package nor the home can be written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"
"""Environment variable that numba reads when it is imported; workers inherit it."""

OF_MATPLOTLIB = "MPLCONFIGDIR"
"""That of matplotlib, whose every process would warn and look for fonts anew."""


def choose_numba_cache() -> None:
    """Have numba use a folder of this user among temporary files where it could not cache at all, and would fail.

    Numba caches beside a module, else in the user's cache folder, and raises an error where it can write neither.
    """
    package, home = Path(__file__).parent, Path(os.path.expanduser(os.environ.get("XDG_CACHE_HOME", "~/.cache")))
    if VARIABLE in os.environ or _is_writable(package) or _is_writable(home):
        return
    own = Path(tempfile.gettempdir()) / f"tomostat-numba-{os.getuid()}"
    own.mkdir(mode=0o700, exist_ok=True)
    status = own.lstat()
    if own.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o022:  # what lies there is run
        own = Path(tempfile.mkdtemp(prefix="tomostat-numba-"))
    os.environ[VARIABLE] = str(own)
    os.environ.setdefault(OF_MATPLOTLIB, str(own))


def _is_writable(folder: Path) -> bool:
    """Whether files can be created in a folder, or in the nearest one above that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True

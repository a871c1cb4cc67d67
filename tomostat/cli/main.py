"""From the words of a command line to an exit status: errors are one line."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from collections.abc import Sequence

from cyclopts import CycloptsError, UnusedCliTokensError

from tomostat.cli import audit, maps, results, stages, tools  # noqa: F401 - they add their commands
from tomostat.cli.app import app
from tomostat.cli.session import Terminated
from tomostat.messages import explain

INTERRUPTED, TERMINATED = 130, 143
"""Exit status after Ctrl-C, and after SIGTERM."""
CLOSED = 141
"""Exit status where nobody reads the output any more: that of programs that SIGPIPE ends."""


def main(tokens: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns
    -------
    int
        Exit status: 0 done, 1 `check` or `status` found problems, 2 something to mend, 130 and 143 interrupted, 141
        output that nobody reads any more.
    """
    tokens = sys.argv[1:] if tokens is None else list(tokens)
    try:
        status = app(tokens, exit_on_error=False, print_error=False)
    except UnusedCliTokensError as error:
        return _refuse(f"{' '.join(error.unused_tokens or ())!r} has no meaning here; --help says what has")
    except CycloptsError as error:
        return _refuse(" ".join(str(error).split()))
    except (KeyboardInterrupt, Terminated) as error:
        print("tomostat: interrupted; the same command resumes", file=sys.stderr)
        return INTERRUPTED if isinstance(error, KeyboardInterrupt) else TERMINATED
    except BrokenPipeError as error:
        return _output_closed() or _refuse(explain(error))
    except Exception as error:
        if "--verbose" in tokens:
            raise
        stage = next(iter(tokens), "")  # whose command has its options without its name
        return _refuse(explain(error).replace(f"--{stage}.", "--"))
    return status if isinstance(status, int) else 0


def _output_closed() -> int:
    """`CLOSED` where whoever reads the output has seen enough; 0 where another pipe is broken, as to a worker."""
    try:
        output = sys.stdout.fileno()
    except OSError:  # no file, such as in a notebook
        return 0
    waiting = select.poll()
    waiting.register(output, 0)
    if not any(state & select.POLLERR for _, state in waiting.poll(0)):
        return 0
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)  # Python flushes once more at its end
    return CLOSED


def _refuse(why: str) -> int:
    print(f"tomostat: {why}", file=sys.stderr)
    return 2


PATIENCE = 3.0
"""Seconds that threads have to end after an interruption."""


def entry() -> None:
    """The program: ends soon after an interruption, whatever threads of this process still compute."""
    status = main()
    if status in (INTERRUPTED, TERMINATED):
        others = [one for one in threading.enumerate() if one is not threading.main_thread() and not one.daemon]
        end = time.monotonic() + PATIENCE
        for thread in others:
            thread.join(max(0.0, end - time.monotonic()))
        if any(thread.is_alive() for thread in others):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    sys.exit(status)

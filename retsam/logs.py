"""Logs of jobs: everything a step says goes to one file, a user's error is one sentence there."""

import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from retsam.errors import UserError


@contextmanager
def job_log(path: str | Path) -> Iterator[Callable[[str], None]]:
    """Send standard output, errors and logging of a block to a file; user errors also reach the terminal.

    Parameters
    ----------
    path : path-like
        Log file, made anew.

    Yields
    ------
    callable
        ``say(text)``: write a line to the log and to the terminal.
    """
    terminal = sys.stderr
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("w", encoding="utf-8", buffering=1) as handle:
        sys.stdout = sys.stderr = handle
        logging.basicConfig(stream=handle, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", force=True)

        def say(text: str) -> None:
            print(text, file=handle)
            print(text, file=terminal)

        try:
            yield say
        except UserError as error:
            say(f"Error: {error}")
            raise SystemExit(2) from None
        except Exception as error:
            traceback.print_exc(file=handle)
            print(f"Error: {error} (see {path})", file=terminal)
            raise SystemExit(1) from None
        finally:
            sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
            logging.shutdown()


def progress_lines(total: int | None, what: str, step: int = 50, stream: TextIO | None = None) -> Callable[[int], None]:
    """Progress for a log: a plain line every `step` items and at the end; called with the number done so far."""
    last = 0

    def show(done: int) -> None:
        nonlocal last
        if done > last and (done // step > last // step or done == total):
            print(f"{what}: {done}" + (f"/{total}" if total is not None else ""), file=stream, flush=True)
        last = max(last, done)

    return show

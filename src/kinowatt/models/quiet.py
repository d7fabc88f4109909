"""Other libraries, without what they say of themselves on the terminal."""

from __future__ import annotations

import contextlib
import importlib
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet(*libraries: str) -> Iterator[None]:
    """Import the named ones ("diffusers", "transformers") if they are here, and use them without their bars, warnings and notes.

    They tell of compiled parts for other machines, of deprecations among themselves, and draw a bar for every file; errors still come.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    bars = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name in libraries:
                with contextlib.suppress(ImportError):
                    log = importlib.import_module(f"{name}.utils.logging")
                    if log.is_progress_bar_enabled():
                        bars.append(log)
                        log.disable_progress_bar()
            yield
    finally:
        logging.disable(before)
        for log in bars:
            log.enable_progress_bar()

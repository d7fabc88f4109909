"""Why a job failed: the code and the sentence that its owner is shown. Paths and traces stay in the log."""

from __future__ import annotations

import errno

from kinowatt.errors import BudgetError, DeviceError, KinowattError, MediaError, OutputError


class DiskFull(OutputError):
    """Less is free than any clip needs."""


def reason(error: BaseException) -> tuple[str, str]:
    """The code and sentence that a failed job shows."""
    if isinstance(error, (DeviceError, MemoryError)):
        return "out_of_memory", str(error) or "the server ran out of memory; ask for a smaller size or fewer seconds"
    cause = error.__cause__ if isinstance(error, OutputError) and error.__cause__ else error
    if isinstance(error, DiskFull) or (isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)):
        return "disk_full", "the server's disk is full; its host must make room"
    if isinstance(error, OutputError):
        return "storage_error", "the server could not write the clip; its log says why"
    if isinstance(error, MediaError):
        return "invalid_reference", str(error)
    if isinstance(error, BudgetError):
        return "budget_exceeded", str(error)
    if isinstance(error, KinowattError):
        return "invalid_request", str(error)
    return "server_error", f"a fault of the server's ({type(error).__name__}); its log says more"

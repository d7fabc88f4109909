"""Who used what of one counter: at every border its joules are divided among those at work, and nobody's are idle.

A counter tells the energy of a whole device (or of a whole process). When jobs run side by side, each gets an equal share of every
stretch of time between two borders (a job that begins, ends, or looks). So the shares and the idle joules add up to the counter, always.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

from filelock import FileLock

from kinowatt.energy.devices import CounterLost, Device


@dataclass
class Account:
    """One job's joules so far, or why they are not known. `pid` is the process that will close it."""

    joules_J: float = 0.0
    pid: int = 0
    broken: str = ""


@dataclass
class Shares:
    """The division of one counter. `counted_J` = sum of accounts + `closed_J` + `idle_J`; joules in which the counter broke are in none."""

    last_J: float | None = None
    counted_J: float = 0.0
    idle_J: float = 0.0
    closed_J: float = 0.0
    accounts: dict[str, Account] = field(default_factory=dict)

    def settle(self, reading_J: float, wraps_J: float | None = None) -> None:
        """Divide what was counted since the last border. A counter that went backwards without wrapping breaks all open accounts."""
        spent_J = 0.0 if self.last_J is None else reading_J - self.last_J
        if spent_J < 0 and wraps_J is not None:
            spent_J %= wraps_J
        self.last_J = reading_J
        if spent_J < 0:
            self.lose(f"the counter went backwards by {-spent_J:.3g} J")
            return
        self.counted_J += spent_J
        if not self.accounts:
            self.idle_J += spent_J
        for account in self.accounts.values():
            account.joules_J += spent_J / len(self.accounts)

    def lose(self, why: str) -> None:
        """From here on no open account knows what it used."""
        for account in self.accounts.values():
            account.broken = account.broken or why

    def close(self, token: str) -> Account:
        """The end of one account."""
        account = self.accounts.pop(token)
        self.closed_J += account.joules_J
        return account


class Counter:
    """One device whose joules are shared. Accounts are opened at the beginning of a bill, read at its borders and closed at its end."""

    def __init__(self, device: Device, guard: Callable[[], AbstractContextManager[Shares]] | None = None) -> None:
        self.part, self.name, self.device = device.part, device.name, device
        self._shares, self._lock = Shares(), Lock()
        self._guard = guard or self._in_memory

    @contextmanager
    def _in_memory(self) -> Iterator[Shares]:
        with self._lock:
            yield self._shares

    def _settle(self, shares: Shares) -> None:
        try:
            shares.settle(self.device.read_J(), getattr(self.device, "wraps_J", None))
        except CounterLost as lost:
            shares.last_J = None
            shares.lose(str(lost))

    def open(self) -> str:
        """A new account's token."""
        token = secrets.token_hex(8)
        with self._guard() as shares:
            self._settle(shares)
            shares.accounts[token] = Account(pid=os.getpid(), broken="" if shares.last_J is not None else self._why())
        return token

    def _why(self) -> str:
        try:
            self.device.read_J()
        except CounterLost as lost:
            return str(lost)
        return "the counter did not answer when the work began"

    def read(self, token: str, *, close: bool = False) -> Account:
        """The joules of an account up to now; with `close` for the last time."""
        with self._guard() as shares:
            self._settle(shares)
            return shares.close(token) if close else replace(shares.accounts[token])

    def shares(self) -> Shares:
        """A copy of the division as it stands now."""
        with self._guard() as shares:
            self._settle(shares)
            return _load(asdict(shares))


def between_processes(device: Device, id: str, folder: Path | None = None) -> Counter:
    """A counter of a whole device, shared with every process of this user by a small file that is locked while it is read."""
    home = folder or Path(tempfile.gettempdir()) / f"kinowatt-shares-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    home.mkdir(mode=0o700, exist_ok=True)
    path = home / f"{re.sub(r'[^A-Za-z0-9.-]', '_', id)}.json"
    lock = FileLock(f"{path}.lock")

    @contextmanager
    def guard() -> Iterator[Shares]:
        with lock:
            try:
                shares = _load(json.loads(path.read_text()))
            except (OSError, ValueError, KeyError, TypeError):  # the first of all, or a file that was cut short
                shares = Shares()
            for token in [t for t, a in shares.accounts.items() if not _alive(a.pid)]:
                shares.close(token)
            yield shares
            part = path.with_suffix(f".{os.getpid()}")
            part.write_text(json.dumps(asdict(shares)))
            part.replace(path)

    return Counter(device, guard)


def _load(data: dict[str, Any]) -> Shares:
    return Shares(**{**data, "accounts": {token: Account(**account) for token, account in data["accounts"].items()}})


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # alive, and another user's
        return True
    return True

"""Sends sentences to the places named in ``rollout_notify``. Never waits, never fails its caller."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from apprise import Apprise

log = logging.getLogger("torchserve_rollout.notify")
_WAITING_AT_MOST = 200
_EVERYTHING = "always"  # apprise: matches whatever tag is asked for

Report = Callable[[bool, str], None]
"""Called from the sending thread with whether it worked, and a sentence for the journal."""


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to tell. ``tags`` are the spec's ``notify`` names; empty means everybody."""

    title: str
    body: str
    tags: tuple[str, ...]
    report: Report


class Notifier:
    """A queue and one thread behind it.

    Args:
        urls: apprise URLs; one that begins ``name=`` is only told what is meant for ``name``
            (``ops=slack://…``), any other is told everything.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._apprise = Apprise()
        for url in urls:
            name, _, rest = url.partition("=")
            tag, address = (name, rest) if name.isidentifier() and "://" in rest else (_EVERYTHING, url)
            if not self._apprise.add(address, tag=tag):
                log.warning("rollout_notify: %s… is no address that apprise knows", address.split("://")[0])
        self._messages: queue.Queue[Message | None] = queue.Queue(_WAITING_AT_MOST)
        self._thread = threading.Thread(target=self._run, name="notify", daemon=True)
        self._thread.start()

    def tell(self, message: Message) -> None:
        """Queue it and return. When nobody is to be told, or the queue is full, it is dropped and that is logged."""
        if not len(self._apprise):
            return
        try:
            self._messages.put_nowait(message)
        except queue.Full:
            log.warning("too many notifications are waiting, dropped: %s", message.title)

    def _run(self) -> None:
        while (message := self._messages.get()) is not None:
            tags = list(message.tags) or "all"
            if not any(self._apprise.find(tag=tags)):
                continue  # nobody goes by these names
            try:
                is_sent = bool(self._apprise.notify(title=message.title, body=message.body, tag=tags))
            except Exception as error:  # apprise's plugins raise what they like; a rollout must not care
                log.warning("notification failed: %s", error)
                is_sent = False
            whom = ", ".join(message.tags) or "everybody"
            message.report(is_sent, f"{'told' if is_sent else 'could not tell'} {whom}")

    def close(self, timeout_s: float = 5.0) -> None:
        """Send what is waiting, then end."""
        try:
            self._messages.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

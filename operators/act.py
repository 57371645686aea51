"""One thing that a target shall do once, however often it has to be asked: what is known of it.

That it is not there is certain only when no request for it can still take effect. A request of which nothing is
known may do so until it expires and for a while after that; until then the act is open.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from config.effects import Reply

Status = Literal["", "sent", "unknown", "done", "absent", "refused", "impossible"]
"""Not begun; sent, no answer yet; an answer that says nothing; there; certainly not there, may be tried again;
certainly not there, will not be; cannot be, for a reason that is told."""


class Act(msgspec.Struct, array_like=True):
    """What is known of it. Instants are microseconds."""

    status: Status = ""
    attempts: int = 0
    open_until: int = 0
    """Until when a request of which nothing is known may still take effect; 0 when there is none."""
    refused: bool = False
    """The target refused it, while an earlier request may still take effect."""
    sent_at: int = 0
    done_at: int = 0
    detail: str = ""
    digest: str = ""
    """Of the target's answer."""

    @property
    def is_open(self) -> bool:
        """Whether it is not known what became of it."""
        return self.status in ("sent", "unknown")

    def send(self, now: int) -> None:
        """Note that it is asked for."""
        self.status, self.attempts, self.sent_at = "sent", self.attempts + 1, now

    def answered(self, reply: Reply, now: int, open_until: int) -> None:
        """Take in what came of a request.

        Args:
            reply: The answer to a `do` or `undo`.
            now: When it came.
            open_until: Until when the request may take effect, if nothing is known of it.
        """
        self.detail, self.digest = reply.detail, reply.digest
        match reply.result:
            case "done":
                self.found(now)
            case "refused":
                self.refused = True
                self.status = "unknown" if self.open_until else "refused"
            case "not-sent" | "expired":
                self.status = "unknown" if self.open_until else "absent"
            case _:
                self.status, self.open_until = "unknown", max(self.open_until, open_until)

    def not_tried(self) -> None:
        """Take in that the request never left: it is as if it had not been asked for."""
        self.attempts -= 1
        self.status = "unknown" if self.open_until else "absent"
        if not self.attempts:
            self.sent_at = 0

    def found(self, now: int) -> None:
        """Take in that it is there."""
        if self.status != "done":
            self.status, self.open_until, self.done_at = "done", 0, now

    def missed(self, now: int) -> bool:
        """Take in that the target, asked now, says that it is not there; return whether that is certain."""
        if self.status == "done":
            # What was said to be done and is not there was a lie, which is now found out.
            self.status, self.detail = "absent", "said to be done, and is not there"
            return True
        if now <= self.open_until:
            return False
        self.status, self.open_until = "refused" if self.refused else "absent", 0
        return True

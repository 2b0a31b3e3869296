"""The one error of the sandbox that is for users: a promise that can't be kept here, and what would help."""

from __future__ import annotations


class Refused(Exception):
    """Told to the engine as a `BackendError` with a hint (`img.sandbox.server`); raised before the step's process starts."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy

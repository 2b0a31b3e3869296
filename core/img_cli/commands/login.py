"""``img login`` and ``img logout``."""

from __future__ import annotations

import sys

from img.errors import UsageError
from img_cli.context import open_session

HUB = "https://index.docker.io/v1/"
LONGEST = 1 << 16
"""Characters of a password on standard input: tokens are long, but not that long."""


def login(server: str, user: str, password: str, from_stdin: bool) -> int:
    """Ask for what is missing, try it, keep it."""
    if password and from_stdin:
        raise UsageError("--password and --password-stdin exclude each other")
    if from_stdin and not user:
        raise UsageError("--password-stdin needs --username", hint="img login -u NAME --password-stdin")
    if password:
        print("warning: a password on the command line can be seen by others; use --password-stdin", file=sys.stderr)
    if from_stdin:
        password = sys.stdin.read(LONGEST).rstrip("\r\n")
    user = user or _asked("Username: ")
    password = password or _asked("Password: ", hidden=True)
    if not user or not password:
        raise UsageError("a user name and a password are needed", hint="img login -u NAME --password-stdin")
    with open_session() as session:
        place = session.registries.login(server or HUB, user, password)
    print(f"Login Succeeded ({place})")
    return 0


def logout(server: str) -> int:
    """Forget a registry's credentials."""
    with open_session() as session:
        known = session.registries.logout(server or HUB)
    print(f"Removing login credentials for {server or HUB}" if known else f"Not logged in to {server or HUB}")
    return 0


def _asked(question: str, hidden: bool = False) -> str:
    if not sys.stdin.isatty():
        raise UsageError(
            f"there is no terminal to ask for the {question.partition(':')[0].lower()}",
            hint="img login -u NAME --password-stdin",
        )
    if hidden:
        import getpass

        return getpass.getpass(question)
    return input(question).strip()

"""The command line: one module a command or family of commands, each of which asks the client or the app."""

import sys


def main() -> None:
    """The command `uploadstream`."""
    from uploadstream.cli import interrupt  # noqa: PLC0415 - importing the package costs nothing
    from uploadstream.cli.program import run  # noqa: PLC0415

    status = run(sys.argv[1:])
    interrupt.end()
    sys.exit(status)

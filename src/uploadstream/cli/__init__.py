"""The command line: one module a command or family of commands, each of which asks the client or the app."""

import sys


def main() -> None:
    """The command `uploadstream`."""
    from uploadstream.cli.program import run  # noqa: PLC0415 - importing the package costs nothing

    sys.exit(run(sys.argv[1:]))

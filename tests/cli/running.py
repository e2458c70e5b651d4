"""The program as its users run it: a process, with an environment of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

COMMAND = (sys.executable, "-m", "uploadstream")
SECONDS_MAX = 60


@dataclass
class CommandLine:
    """Runs commands in `folder`, against `server`."""

    folder: Path
    server: str
    variables: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("UPLOADSTREAM")}
        ours = {
            "UPLOADSTREAM_SERVER": self.server,
            "UPLOADSTREAM_STATE_DIR": str(self.folder / "state"),
            "COLUMNS": "120",
        }
        return {**inherited, **ours, **self.variables}

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self._command(arguments),
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )

    def start(self, *arguments: str | Path) -> "subprocess.Popen[str]":
        """Start a command."""
        return subprocess.Popen(
            self._command(arguments),
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def succeed(self, *arguments: str | Path) -> str:
        """Run a command that is to succeed; what it printed."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def with_variables(self, variables: Mapping[str, str]) -> "CommandLine":
        return CommandLine(self.folder, self.server, {**self.variables, **variables})

    def _command(self, arguments: Sequence[str | Path]) -> list[str]:
        return [*COMMAND, *map(str, arguments)]

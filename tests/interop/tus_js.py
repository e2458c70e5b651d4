"""tus-js-client, driven by `node/upload.js`: one process a job, one JSON event a line."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

JOB_SECONDS_MAX = 120

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """All events of a job, oldest first; the last one says how it ended."""

    events: tuple[Event, ...]

    @property
    def end(self) -> Event:
        """The last event."""
        return self.events[-1]

    @property
    def url(self) -> str:
        """The upload that the job ended with; fails with the events if it did not end with one."""
        if "url" not in self.end:
            raise AssertionError(f"tus-js-client ended with {self.end}, after {self.responses}")
        return str(self.end["url"])

    @property
    def responses(self) -> list[Event]:
        """Every response that the client got, in order."""
        return [event for event in self.events if event["event"] == "response"]

    @property
    def methods(self) -> list[str]:
        """The methods of the answered requests, in order."""
        return [response["method"] for response in self.responses]


class TusJsJob:
    """A running process; its events can be followed one by one."""

    def __init__(self, command: list[str], stdin: BinaryIO | None) -> None:
        """Start the process."""
        self._process = subprocess.Popen(command, stdin=stdin or subprocess.DEVNULL, stdout=subprocess.PIPE)
        self._seen: list[Event] = []

    def events(self) -> Iterator[Event]:
        """The events from here on, each as soon as it happens."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            self._seen.append(event)
            yield event

    def wait_for_progress(self, sent: int) -> None:
        """Wait until the client has sent so many bytes."""
        for event in self.events():
            if event["event"] == "progress" and event["sent"] >= sent:
                return
        raise AssertionError(f"tus-js-client ended before it had sent {sent} bytes: {self._seen[-1:]}")

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.communicate()

    def outcome(self) -> Outcome:
        """Wait for the end of the job."""
        for _ in self.events():
            pass
        self._process.communicate(timeout=JOB_SECONDS_MAX)
        return Outcome(tuple(self._seen))


@dataclass(frozen=True)
class TusJs:
    """Starts jobs of tus-js-client against one server."""

    node: str
    script: Path
    endpoint: str

    def start(self, file: Path | BinaryIO, **job: Any) -> TusJsJob:
        """Start uploading a file, or what a stream gives; `job` as described in the script."""
        path, stdin = (str(file), None) if isinstance(file, Path) else (None, file)
        return self._start({"endpoint": self.endpoint, "file": path, **job}, stdin)

    def run(self, file: Path | BinaryIO, **job: Any) -> Outcome:
        """Upload and wait for the end."""
        return self.start(file, **job).outcome()

    def terminate(self, url: str) -> Outcome:
        """Delete an upload."""
        return self._start({"url": url}, None).outcome()

    def _start(self, job: Mapping[str, Any], stdin: BinaryIO | None) -> TusJsJob:
        return TusJsJob([self.node, str(self.script), json.dumps(job)], stdin)

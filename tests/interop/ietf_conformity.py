"""Whether a server speaks the IETF's resumable upload, rule by rule, from the draft's text alone.

    python -m tests.interop.ietf_conformity --url http://127.0.0.1:8080/files

Says of each rule whether the server holds to it and, where it does not, what was sent, what came and what the draft
says. Ends with 1 if a MUST differs. With `--content` also the stored bytes are compared.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Iterator
from urllib.request import urlopen

from tests.interop.ietf import rules
from tests.interop.ietf.probe import Probe
from tests.interop.ietf.rules import Finding, Level, Outcome, Rule, examine, report

MODULES = ("creation", "retrieval", "appending", "interruption", "digests", "versions")
READ_SECONDS_MAX = 30


def all_rules() -> list[Rule]:
    """Every rule, in the order of the draft."""
    for name in MODULES:
        importlib.import_module(f"tests.interop.ietf.{name}")
    return list(rules.RULES)


def reader(template: str) -> Callable[[str], bytes]:
    """Reads finished uploads at a URL with `{id}` in it, which stands for the last segment of an upload's URL."""

    def read(upload: str) -> bytes:
        with urlopen(template.replace("{id}", upload), timeout=READ_SECONDS_MAX) as answer:  # noqa: S310 - a URL that the caller chose
            content: bytes = answer.read()
            return content

    return read


def examined(url: str, *, content: str | None = None, only: str = "") -> Iterator[Finding]:
    """What the server at `url` does about each rule; `only`: those of this number or with this text."""
    for one in all_rules():
        if only in one.numbers or only in str(one):
            yield examine(one, Probe(url, read_back=reader(content) if content else None))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="a resource that creates uploads")
    parser.add_argument("--content", help="where a finished upload is read, with {id} for its URL's last segment")
    parser.add_argument("--only", default="", metavar="R10", help="one rule's number, or a part of its text")
    given = parser.parse_args()
    findings = list(examined(given.url, content=given.content, only=given.only))
    sys.stdout.write(f"{report(findings)}\n")
    return int(any(one.outcome is Outcome.DIFFERS and one.rule.level is Level.MUST for one in findings))


if __name__ == "__main__":
    raise SystemExit(main())

"""The checks by their rule, what a check finds, and the report that a person reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from tests.interop.ietf.probe import Differs, NotOffered, Probe
from tests.interop.ietf.wire import Broken, Malformed, indented

DRAFT = "draft-ietf-httpbis-resumable-upload, interop version 8"

Check = Callable[[Probe], None]


class Level(Enum):
    """How much the draft wants it."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"


class Outcome(Enum):
    """What became of a check."""

    HOLDS = "holds"
    DIFFERS = "DIFFERS"
    NOT_OFFERED = "not offered"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that the draft says; `numbers`: those of the project's checklist."""

    numbers: tuple[str, ...]
    level: Level
    section: str
    check: Check

    @property
    def title(self) -> str:
        """What the check is called: a sentence about the server."""
        return self.check.__name__.replace("_", " ")

    @property
    def text(self) -> str:
        """What the draft says."""
        return " ".join((self.check.__doc__ or "").split())

    def __str__(self) -> str:
        return f"{self.level.value} {'/'.join(self.numbers)} {self.title}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a server does about a rule; `exchanges` is what went over the wire."""

    rule: Rule
    outcome: Outcome
    found: str = ""
    exchanges: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.outcome.value:12}{self.rule}"]
        if self.found:
            lines += [f"  draft, {self.rule.section}: {self.rule.text}", f"  found: {self.found}"]
        lines += [indented(f"{number}. {text}") for number, text in enumerate(self.exchanges, 1)]
        return "\n".join(lines)


RULES: list[Rule] = []


def rule(numbers: str, level: Level, section: str) -> Callable[[Check], Check]:
    """Makes a function the check of a rule; its docstring is what the draft says."""

    def register(check: Check) -> Check:
        RULES.append(Rule(tuple(numbers.split()), level, section, check))
        return check

    return register


def examine(one: Rule, probe: Probe) -> Finding:
    """Try one rule on a server; its uploads are gone afterwards."""
    try:
        one.check(probe)
    except NotOffered as error:
        return Finding(one, Outcome.NOT_OFFERED, str(error))
    except (Differs, Broken, Malformed, OSError) as error:
        what = str(error) if isinstance(error, Differs | Broken | Malformed) else f"{type(error).__name__}: {error}"
        return Finding(one, Outcome.DIFFERS, what, tuple(str(exchange) for exchange in probe.exchanges))
    finally:
        probe.clean_up()
    return Finding(one, Outcome.HOLDS)


def report(findings: Sequence[Finding]) -> str:
    """Everything found, the differences last, and the sums."""
    order = {Outcome.HOLDS: 0, Outcome.NOT_OFFERED: 1, Outcome.DIFFERS: 2}
    parts = [str(finding) for finding in sorted(findings, key=lambda finding: order[finding.outcome])]
    return "\n".join([DRAFT, *parts, summary(findings)])


def summary(findings: Iterable[Finding]) -> str:
    """How many of each level hold and differ."""
    counts = Counter((finding.rule.level, finding.outcome) for finding in findings)
    return "; ".join(
        f"{level.value}: " + ", ".join(f"{counts[level, outcome]} {outcome.value}" for outcome in Outcome)
        for level in Level
        if any(counts[level, outcome] for outcome in Outcome)
    )

"""What a series has shown, as a table and as JSON: medians, ranges, and the first server's ratios to the others.

A ratio is the median of the ratios of the rounds, not the ratio of two medians: the trials of a round had the same
neighbours on the machine.
"""

from dataclasses import asdict, dataclass
from statistics import median

from rig.servers import Kind
from rig.trial import Figures, Scenario

NOISY_CORES = 0.3


@dataclass(frozen=True)
class Trial:
    """Whose figures, in which round."""

    server: str
    protocol: str
    clients: int
    round: int
    figures: Figures


def in_a_line(figures: Figures) -> str:
    """One trial."""
    speed, cpu = f"{figures.mb_per_second:5.0f} MB/s", f"{figures.cpu_seconds_per_gb:5.2f} CPU-s/GB"
    return f"{speed} {cpu}   other load {figures.other_load_cores:.1f} cores"


def print_table(trials: list[Trial], contenders: list[tuple[str, Kind]], scenario: Scenario) -> None:
    """Medians, with the lowest and highest, and the first server's ratios to each other one."""
    transfer = scenario.transfer
    print(f"\n{transfer.protocol} {scenario.direction}, {transfer.size} bytes each, {scenario.clients} at once")
    print(f"{'':18}{'MB/s':^22}{'CPU-s/GB':^22}{'peak RSS':>9}{'anon. idle → peak':>20}{'client CPU':>12}  durability")
    for name, kind in contenders:
        own = [trial.figures for trial in trials if trial.server == name]
        anonymous = f"{middle(own, 'idle_anonymous_mb'):.0f} → {middle(own, 'peak_anonymous_mb'):.0f} MB"
        print(
            f"{name:18}{spread(own, 'mb_per_second', 0):^22}{spread(own, 'cpu_seconds_per_gb', 2):^22}"
            f"{middle(own, 'peak_resident_mb'):6.0f} MB{anonymous:>20}"
            f"{middle(own, 'client_cpu_seconds_per_gb'):12.2f}  {kind.durability[scenario.fsync]}"
        )
    for name, _ in contenders[1:]:
        print(f"{contenders[0][0]} / {name}: {ratio_text(trials, contenders[0][0], name)}")
    noisy = sum(trial.figures.other_load_cores > NOISY_CORES for trial in trials)
    if noisy:
        print(f"{noisy} of {len(trials)} trials shared the machine with other work: provisional")
    print(flush=True)


def middle(own: list[Figures], field: str) -> float:
    """The median of a field."""
    return float(median(getattr(figures, field) for figures in own))


def spread(own: list[Figures], field: str, digits: int) -> str:
    """The median, and the range."""
    values = [getattr(figures, field) for figures in own]
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def ratios(trials: list[Trial], first: str, second: str, field: str) -> list[float]:
    """Round by round."""
    by_round = {(trial.server, trial.round): getattr(trial.figures, field) for trial in trials}
    rounds = sorted({trial.round for trial in trials})
    return [by_round[first, number] / by_round[second, number] for number in rounds]


def ratio_text(trials: list[Trial], first: str, second: str) -> str:
    """Both ratios in words."""
    parts = []
    for field, label in (("cpu_seconds_per_gb", "CPU per GB"), ("mb_per_second", "throughput")):
        values = ratios(trials, first, second, field)
        parts.append(f"{label} x {median(values):.2f} ({min(values):.2f}-{max(values):.2f})")
    return ", ".join(parts)


def summary(trials: list[Trial], subject: str) -> list[dict[str, object]]:
    """For each protocol, number of clients and server: medians, ranges, and the subject's ratios to it."""
    rows: list[dict[str, object]] = []
    groups = dict.fromkeys((trial.protocol, trial.clients, trial.server) for trial in trials)
    for protocol, clients, server in groups:
        same = [trial for trial in trials if (trial.protocol, trial.clients) == (protocol, clients)]
        own = [asdict(trial.figures) for trial in same if trial.server == server]
        row: dict[str, object] = {"protocol": protocol, "clients": clients, "server": server}
        for field in own[0]:
            values = [figures[field] for figures in own]
            row[field] = {"median": median(values), "min": min(values), "max": max(values)}
        if server != subject and any(trial.server == subject for trial in same):
            row["subject_ratios"] = {
                field: median(ratios(same, subject, server, field)) for field in ("cpu_seconds_per_gb", "mb_per_second")
            }
        rows.append(row)
    return rows

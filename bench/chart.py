#!/usr/bin/env python3
"""Draws docs/bench-upload.svg from what `upload.py --json FILE` has written."""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

TARGET = Path(__file__).resolve().parents[1] / "docs" / "bench-upload.svg"
WIDTH, MARGIN, LABEL_WIDTH, NUMBER_WIDTH, PANEL_GAP = 900, 24, 150, 70, 30
BAR_HEIGHT, BAR_GAP, GROUP_GAP, HEADER_HEIGHT, FOOTER_HEIGHT = 20, 4, 18, 96, 40
INK, FAINT, OURS, THEIRS = "#1f2328", "#59636e", "#0b7285", "#b6bec7"
PROTOCOLS = {"tus": "HTTP (tus)", "grpc": "gRPC"}
SHOWN_NAMES = {"uploadstream": "UploadStream", "grpc-go": "grpc-go server"}


@dataclass(frozen=True)
class Panel:
    """One measure, drawn as a column of bars."""

    field: str
    title: str
    digits: int


PANELS = [
    Panel("cpu_seconds_per_gb", "Server CPU-s per GB (less is better)", 2),
    Panel("mb_per_second", "MB per second (more is better)", 0),
]


def text(x: float, y: float, words: str, *, size: int = 13, fill: str = INK, extra: str = "") -> str:
    """A line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" {extra}>{escape(words)}</text>'


def groups(summary: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The rows that are held against each other, by their common heading."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in summary:
        clients = "1 client" if row["clients"] == 1 else f"{row['clients']} clients at once"
        found.setdefault(f"{PROTOCOLS[row['protocol']]}, {clients}", []).append(row)
    return found


def bars(panel: Panel, heading_rows: dict[str, list[dict[str, Any]]], left: float, width: float) -> Iterator[str]:
    """The panel's title, bars and numbers."""
    largest = max(row[panel.field]["median"] for rows in heading_rows.values() for row in rows)
    yield text(left, HEADER_HEIGHT - 26, panel.title, extra='font-weight="600"')
    y = float(HEADER_HEIGHT)
    for rows in heading_rows.values():
        y += BAR_HEIGHT
        for row in rows:
            value = row[panel.field]["median"]
            length = max(1.0, value / largest * (width - NUMBER_WIDTH))
            color = OURS if row["server"] == "uploadstream" else THEIRS
            yield f'<rect x="{left:.1f}" y="{y:.1f}" width="{length:.1f}" height="{BAR_HEIGHT}" rx="2" fill="{color}"/>'
            number = f"{value:,.{panel.digits}f}"
            yield text(left + length + 6, y + 15, number, extra='font-variant-numeric="tabular-nums"')
            y += BAR_HEIGHT + BAR_GAP
        y += GROUP_GAP


def labels(heading_rows: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """What the bars are of."""
    y = float(HEADER_HEIGHT)
    for heading, rows in heading_rows.items():
        yield text(MARGIN, y + 12, heading, fill=FAINT)
        y += BAR_HEIGHT
        for row in rows:
            name = SHOWN_NAMES.get(row["server"], row["server"])
            yield text(MARGIN + LABEL_WIDTH - 10, y + 15, name, extra='text-anchor="end"')
            y += BAR_HEIGHT + BAR_GAP
        y += GROUP_GAP


def drawing(report: dict[str, Any]) -> str:
    """The whole picture."""
    heading_rows = groups(report["summary"])
    count = sum(len(rows) for rows in heading_rows.values())
    body = count * (BAR_HEIGHT + BAR_GAP) + len(heading_rows) * (BAR_HEIGHT + GROUP_GAP)
    height = HEADER_HEIGHT + body + FOOTER_HEIGHT
    panel_width = (WIDTH - 2 * MARGIN - LABEL_WIDTH - PANEL_GAP) / 2
    servers = dict.fromkeys(row["server"] for rows in heading_rows.values() for row in rows)
    kept = "; ".join(f"{name}: {report['durability'][name]}" for name in servers if report["durability"].get(name))
    cores = report["machine"]["cores"]
    conditions = (
        f"{report['size'] / (1 << 30):g} GiB a client, medians of {report['rounds']} rounds in turn, {cores} cores"
    )
    parts = [
        text(MARGIN, 34, "Uploads: UploadStream and others on the same machine", size=18, extra='font-weight="600"'),
        *labels(heading_rows),
        text(MARGIN, height - 30, f"{conditions}, loopback.", size=12, fill=FAINT),
        text(MARGIN, height - 12, f"{kept}.", size=12, fill=FAINT),
    ]
    for number, panel in enumerate(PANELS):
        parts += bars(panel, heading_rows, MARGIN + LABEL_WIDTH + number * (panel_width + PANEL_GAP), panel_width)
    frame = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif" role="img">'
    )
    background = '<rect width="100%" height="100%" fill="#ffffff"/>'
    title = "<title>Uploads: CPU per GB and throughput</title>"
    return "\n".join([frame, title, background, *parts, "</svg>"]) + "\n"


def main() -> int:
    """Reads the figures and writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", type=Path, help="what upload.py has written")
    parser.add_argument("-o", "--output", type=Path, default=TARGET)
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(drawing(json.loads(arguments.figures.read_text())))
    print(arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())

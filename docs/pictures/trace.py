#!/usr/bin/env python3
"""Draws one trace as a waterfall: each span below its parent, with its service, name, event, duration and place in time. A dotted
line leads from a parent that had ended to a child that began later: the time that an event has waited.

Reads what the OpenTelemetry collector's `file` exporter writes: one JSON object (ExportTraceServiceRequest) a line.
Without a trace id it lists the traces that are there.
"""

import argparse
import json
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass

from svg import PALETTE, Page, duration, shorten

NAMES, CHART, ROW, TOP = 520, 700, 24, 78


@dataclass
class Span:
    trace: str
    id: str
    parent: str
    service: str
    name: str
    event: str
    start: int
    end: int
    failed: bool


def read(lines):
    for line in lines:
        for resource in json.loads(line).get("resourceSpans", []):
            attributes = {a["key"]: a["value"] for a in resource["resource"].get("attributes", [])}
            service = attributes["service.name"]["stringValue"]
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    said = {a["key"]: a["value"] for a in span.get("attributes", [])}
                    # exchange:routing key, and with a consumer the queue
                    destination = said.get("messaging.destination.name", {}).get("stringValue", "")
                    yield Span(
                        trace=span["traceId"],
                        id=span["spanId"],
                        parent=span.get("parentSpanId", ""),
                        service=service,
                        name=span["name"],
                        event=destination.split(":")[1] if ":" in destination else "",
                        start=int(span["startTimeUnixNano"]),
                        end=int(span["endTimeUnixNano"]),
                        failed=span.get("status", {}).get("code") == 2,
                    )


def tree(spans):
    """Depth first, siblings by their start. A span whose parent was not recorded stands at the top."""
    known = {span.id for span in spans}
    children = defaultdict(list)
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        children[span.parent if span.parent in known else ""].append(span)

    def below(parent, depth):
        for span in children[parent]:
            yield span, depth
            yield from below(span.id, depth + 1)

    return list(below("", 0))


def tick_step(total):
    """Between five and twelve ticks, at round distances."""
    step = 10 ** (len(str(max(int(total), 1))) - 1)
    for candidate in (step // 10 or 1, step // 5 or 1, step // 2 or 1, step, step * 2):
        if total / candidate <= 12:
            return candidate
    return step * 5


def draw(spans):
    rows = tree(spans)
    begin, end = min(s.start for s in spans), max(s.end for s in spans)
    total = max(end - begin, 1)
    services = list(dict.fromkeys(span.service for span, _ in rows))
    colors = {service: PALETTE[i % len(PALETTE)] for i, service in enumerate(services)}
    width, height = NAMES + CHART + 100, TOP + ROW * len(rows) + 16
    page = Page(width, height, f"Trace {spans[0].trace}")
    page.text(16, 26, f"{rows[0][0].name}", size=16, weight=600)
    page.text(width - 16, 26, f"{len(rows)} spans, {duration(total / 1e9)}, trace {spans[0].trace}", "faint", anchor="end")
    x = 16
    for service in services:
        page.rect(x, 40, 11, 11, fill=colors[service], radius=2)
        page.text(x + 16, 50, service)
        x += 34 + 7 * len(service)

    step = tick_step(total)
    for tick in range(0, total + 1, step):
        place = NAMES + tick / total * CHART
        page.line(place, TOP - 6, place, height - 12)
        page.text(place, TOP - 10, duration(tick / 1e9) if tick else "0", "faint", size=11, anchor="middle")

    known = {span.id: span for span in spans}
    for i, (span, depth) in enumerate(rows):
        y = TOP + ROW * i
        if i % 2 == 0:
            page.rect(8, y, width - 16, ROW, "stripe", opacity=0.6, radius=3)
        indent = 16 + 16 * depth
        page.rect(indent, y + 5, 4, ROW - 10, fill=colors[span.service], radius=2)
        page.text(indent + 10, y + 16, shorten(span.name, NAMES - indent - 30 - 7 * len(span.event)), weight=500 if depth == 0 else 400, aside=span.event)
        left = NAMES + (span.start - begin) / total * CHART
        right = NAMES + (span.end - begin) / total * CHART
        parent = known.get(span.parent)
        if parent and parent.end < span.start:
            page.line(NAMES + (parent.end - begin) / total * CHART, y + ROW / 2, left, y + ROW / 2, stroke=colors[span.service], dash="2 3")
        took = duration((span.end - span.start) / 1e9)
        hint = f"{span.service}: {span.name}, {took}, after {duration((span.start - begin) / 1e9)}"
        page.rect(left, y + 6, max(right - left, 2), ROW - 12, fill=colors[span.service], radius=2, hint=hint)
        if span.failed:
            took += ", failed"
        page.text(max(right, left + 2) + 6, y + 16, took, "faint", size=11, fill="#e15759" if span.failed else "")
    return page


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=argparse.FileType(), help="JSON lines of traces; - for standard input")
    parser.add_argument("trace_id", nargs="?", help="the trace to draw, in hexadecimal")
    arguments = parser.parse_args()
    spans = list(read(arguments.file))
    if arguments.trace_id:
        chosen = [span for span in spans if span.trace == arguments.trace_id]
        if not chosen:
            sys.exit(f"{arguments.file.name} has no span of trace {arguments.trace_id}; without an id it is listed what it has")
        print(draw(chosen), end="")
        return
    sizes = Counter(span.trace for span in spans)
    roots = {span.trace: span.name for span in spans if not span.parent}
    for trace, size in sizes.most_common():
        print(f"{trace}  {size:4} spans  {roots.get(trace, '(its root is not here)')}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Draws the Grafana dashboard as one SVG from a running Prometheus, without Grafana: each panel by its own queries.

For the documentation's picture. It asks Prometheus what the panels ask, and draws nothing that it did not answer.
"""

import argparse
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import panels
from svg import Page, shorten

SOURCE = Path(__file__).parents[2] / "deploy/grafana/dashboards/angarium.json"
UNIT_X, UNIT_Y, GAP, HEAD = 62, 30, 8, 44


class Prometheus:
    def __init__(self, url, begin, end, step, interval):
        self.url, self.begin, self.end, self.step = url.rstrip("/"), begin, end, step
        # As Grafana chooses it: four scrapes, so that a rate has enough points.
        self.rate = max(step + interval, 4 * interval)

    def query(self, target):
        expression = target["expr"].replace("$__rate_interval", f"{self.rate}s")
        expression = expression.replace("$__range", f"{int(self.end - self.begin)}s").replace("$service", ".*")
        if target.get("instant"):
            return self.ask("query", query=expression, time=self.end)
        return self.ask("query_range", query=expression, start=self.begin, end=self.end, step=self.step)

    def ask(self, kind, **parameters):
        url = f"{self.url}/api/v1/{kind}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            sys.exit(f"Prometheus refuses {parameters['query']}: {error.read().decode()}")
        except OSError as error:
            sys.exit(f"Prometheus at {self.url} does not answer: {error}")


def draw(dashboard, prometheus):
    height = HEAD + UNIT_Y * max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in dashboard["panels"]) + GAP
    page = Page(UNIT_X * 24 + GAP, height, dashboard["title"])
    page.text(16, 28, dashboard["title"], size=18, weight=600)
    times = [time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at)) for at in (prometheus.begin, prometheus.end)]
    page.text(UNIT_X * 24 - GAP, 28, f"{times[0]} – {times[1].split()[1]} UTC", "faint", anchor="end")
    for panel in dashboard["panels"]:
        grid = panel["gridPos"]
        x, y = GAP + grid["x"] * UNIT_X, HEAD + grid["y"] * UNIT_Y
        width, tall = grid["w"] * UNIT_X - GAP, grid["h"] * UNIT_Y - GAP
        if panel["type"] == "row":
            page.text(x + 8, y + 18, panel["title"], size=14, weight=600)
            continue
        results = [prometheus.query(target) for target in panel["targets"]]
        if not any(results):
            print(f"no data: {panel['title']}", file=sys.stderr)
        page.rect(x, y, width, tall, "panel", radius=4)
        page.text(x + 12, y + 21, shorten(panel["title"], width - 20, 13), size=13, weight=600)
        box = (x, y, width, tall)
        over_time = (prometheus.begin, prometheus.end, prometheus.step)
        match panel["type"]:
            case "stat":
                panels.stat(page, box, panel, results)
            case "timeseries":
                panels.timeseries(page, box, panel, results, *over_time)
            case "state-timeline":
                panels.timeline(page, box, panel, results, *over_time)
            case "table":
                panels.table(page, box, panel, results)
            case other:
                sys.exit(f"{panel['title']}: a panel of type {other} cannot be drawn yet")
    return page


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="Prometheus, as http://127.0.0.1:9090")
    parser.add_argument("--minutes", type=float, default=60, help="how much to show, up to now (default: 60)")
    parser.add_argument("--interval", type=int, default=60, help="seconds between two scrapes (default: 60)")
    arguments = parser.parse_args()
    end = time.time()
    begin = end - arguments.minutes * 60
    step = max(int((end - begin) / 120), arguments.interval)
    prometheus = Prometheus(arguments.url, begin, end, step, arguments.interval)
    print(draw(json.loads(SOURCE.read_text()), prometheus), end="")


if __name__ == "__main__":
    main()

"""How each kind of panel is drawn: the part of Grafana's options that the dashboard uses, and no other."""

import re
import time

from svg import PALETTE, duration, shorten

COLORS = {
    "green": "#3fa45b", "yellow": "#d4a017", "orange": "#f28e2b", "red": "#e15759", "dark-red": "#a8323e",
    "blue": "#4e79a7", "purple": "#b07aa1",
}


def written(value, unit):
    if unit == "s":
        return duration(value)
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    suffix = {"reqps": " req/s", "mps": " msg/s", "eps": " evt/s"}.get(unit, "")
    return (f"{value:.0f}" if value == int(value) else f"{value:.3g}") + suffix


def color_of(value, thresholds):
    passed = [step["color"] for step in thresholds["steps"] if step["value"] is None or value >= step["value"]]
    return COLORS.get(passed[-1], "")


def stat(page, box, panel, results):
    x, y, width, height = box
    defaults = panel["fieldConfig"]["defaults"]
    found = [float(series["value"][1]) for series in results[0]]
    if not found or found[0] != found[0]:
        page.text(x + width / 2, y + height / 2 + 22, defaults.get("noValue", "–"), "faint", size=24, anchor="middle")
        return
    texts = {key: choice["text"] for mapping in defaults["mappings"] for key, choice in mapping["options"].items()}
    content = texts.get(f"{found[0]:.0f}", written(found[0], defaults["unit"]))
    fill = color_of(found[0], defaults["thresholds"])
    page.text(x + width / 2, y + height / 2 + 22, content, size=24, anchor="middle", weight=600, fill=fill)


def names(panel, target, series):
    name = re.sub(r"\{\{(\w+)\}\}", lambda match: series["metric"].get(match[1], ""), target["legendFormat"])
    for step in panel.get("transformations", []):
        if step["id"] == "renameByRegex":
            options = step["options"]
            name = re.sub(options["regex"], options["renamePattern"].replace("$", "\\"), name)
    return name


def plain(values):
    """Points without those that are no number (a quantile of nothing)."""
    return [(float(at), float(value)) for at, value in values if value not in ("NaN", "+Inf")]


def axis(page, box, begin, end, top, unit):
    x, y, width, height = box
    for i in range(5):
        level = y + height - height * i / 4
        page.line(x, level, x + width, level)
        page.text(x - 6, level + 4, written(top * i / 4, unit), "faint", size=10, anchor="end")
    for i in range(4):
        at = begin + (end - begin) * (i + 0.5) / 4
        page.text(x + width * (i + 0.5) / 4, y + height + 14, time.strftime("%H:%M:%S", time.gmtime(at)), "faint", size=10, anchor="middle")


def timeseries(page, box, panel, results, begin, end, step):
    defaults = panel["fieldConfig"]["defaults"]
    custom, unit = defaults["custom"], defaults["unit"]
    fixed = {
        override["matcher"]["options"]: COLORS[entry["value"]["fixedColor"]]
        for override in panel["fieldConfig"]["overrides"] for entry in override["properties"] if entry["id"] == "color"
    }
    lines = []
    for target, found in zip(panel["targets"], results):
        for series in found:
            points = plain(series["values"])
            if points:
                lines.append((names(panel, target, series), points))
    # The legend has room for the largest; the others are drawn all the same.
    lines.sort(key=lambda line: -max(value for _, value in line[1]))
    x, y, width, height = box
    columns = 2 if width > 600 else 1
    rows = min(-(-len(lines) // columns), max(int((height - 160) / 16), 1))
    chart = (x + 74, y + 36, width - 88, height - 66 - 16 * rows - 6)
    left, top_edge, across, down = chart
    stacked = custom["stacking"]["mode"] == "normal"
    base = {}
    drawn = []
    for i, (name, points) in enumerate(lines):
        color = fixed.get(name, PALETTE[i % len(PALETTE)])
        lifted = []
        for at, value in points:
            below = base.get(at, 0.0) if stacked else 0.0
            base[at] = below + value if stacked else max(base.get(at, 0.0), value)
            lifted.append((at, below, below + value))
        drawn.append((name, color, points, lifted))
    top = defaults.get("max") or nice(max(base.values(), default=0.0), unit)
    axis(page, chart, begin, end, top, unit)

    def spot(at, value):
        return left + (at - begin) / (end - begin) * across, top_edge + down - min(value / top, 1) * down

    for name, color, points, lifted in drawn:
        if custom["drawStyle"] == "bars":
            for at, below, above in lifted:
                if above > below:
                    bx, by = spot(at, above)
                    page.rect(bx - step / (end - begin) * across * 0.4, by, step / (end - begin) * across * 0.8, spot(at, below)[1] - by, fill=color, opacity=0.85)
            continue
        for run in runs(lifted, step):
            edge = [spot(at, above) for at, _, above in run]
            if stacked:
                page.path(edge + [spot(at, below) for at, below, _ in reversed(run)], fill=color, opacity=0.3)
            page.path(edge, stroke=color)
    if custom["thresholdsStyle"]["mode"] == "dashed":
        for threshold in defaults["thresholds"]["steps"]:
            if threshold["value"] and threshold["value"] < top:
                level = spot(begin, threshold["value"])[1]
                page.line(left, level, left + across, level, stroke=COLORS[threshold["color"]], width=1.2, dash="5 4")
    legend(page, (x + 12, y + height - 16 * rows + 2, width - 24), drawn, (rows, columns), panel["options"]["legend"]["calcs"], unit)
    if not drawn:
        page.text(left + across / 2, top_edge + down / 2, "nothing in this time", "faint", anchor="middle")


def legend(page, box, drawn, grid, calcs, unit):
    x, y, width = box
    rows, columns = grid
    for i, (name, color, points, _) in enumerate(drawn[: rows * columns]):
        left, line = x + (i // rows) * (width / columns), y + (i % rows) * 16
        values = [value for _, value in points]
        known = {"lastNotNull": ("last", values[-1]), "mean": ("mean", sum(values) / len(values))}
        word, value = known[calcs[0]]
        label = f"{word} {written(value, unit)}"
        page.rect(left, line, 10, 4, fill=color, radius=1)
        page.text(left + 15, line + 6, shorten(name, width / columns - 36 - 6 * len(label), 11), size=11)
        page.text(left + width / columns - 8, line + 6, label, "faint", size=11, anchor="end")


def runs(points, step):
    """Cuts where points are missing: a gap is drawn as a gap."""
    run = []
    for point in points:
        if run and point[0] - run[-1][0] > step * 1.5:
            yield run
            run = []
        run.append(point)
    if run:
        yield run


def nice(value, unit):
    """The end of an axis: a round number that leaves some room."""
    if value <= 0:
        return 0.01 if unit in ("s", "percentunit") else 4
    magnitude = 10.0
    while magnitude > value:
        magnitude /= 10
    while magnitude * 10 <= value:
        magnitude *= 10
    rounded = next(factor * magnitude for factor in (1.2, 1.6, 2, 3, 4, 6, 8, 10, 12) if factor * magnitude >= value * 1.05)
    return rounded if unit in ("s", "percentunit", "reqps", "mps", "eps") else max(rounded, 4)


def timeline(page, box, panel, results, begin, end, step):
    x, y, width, height = box
    defaults = panel["fieldConfig"]["defaults"]
    texts = {key: choice["text"] for mapping in defaults["mappings"] for key, choice in mapping["options"].items()}
    found = results[0]
    room = (height - 70) / max(len(found), 1)
    for i, series in enumerate(found):
        line = y + 38 + i * room
        page.text(x + 12, line + 10, names(panel, panel["targets"][0], series), size=11)
        for at, value in plain(series["values"]):
            left = x + 12 + max(at - step - begin, 0) / (end - begin) * (width - 24)
            right = x + 12 + (at - begin) / (end - begin) * (width - 24)
            page.rect(left, line + 15, right - left + 0.5, room - 24, fill=color_of(value, defaults["thresholds"]), opacity=0.8)
        last = plain(series["values"])[-1][1]
        page.text(x + width - 18, line + 10, texts.get(f"{last:.0f}", written(last, "short")), "faint", size=11, anchor="end")


def table(page, box, panel, results):
    x, y, width, height = box
    organize = next(step["options"] for step in panel["transformations"] if step["id"] == "organize")
    renamed = organize["renameByName"]
    values = {}
    for target, found in zip(panel["targets"], results):
        for series in found:
            values.setdefault(series["metric"].get("rpc_method", ""), {})[f"Value #{target['refId']}"] = float(series["value"][1])
    columns = [name for name in sorted(organize["indexByName"], key=organize["indexByName"].get) if name != "rpc_method"]
    units = {
        override["matcher"]["options"]: {entry["id"]: entry["value"] for entry in override["properties"]}
        for override in panel["fieldConfig"]["overrides"]
    }
    spots = [x + width - 12 - (len(columns) - 1 - i) * 62 for i in range(len(columns))]
    page.text(x + 12, y + 46, renamed["rpc_method"], "faint", size=11, weight=600)
    for column, spot in zip(columns, spots):
        page.text(spot, y + 46, renamed[column], "faint", size=11, anchor="end", weight=600)
    ordered = sorted(values.items(), key=lambda item: -item[1].get(columns[0], 0))
    for i, (method, row) in enumerate(ordered[: int((height - 56) / 17)]):
        line = y + 64 + 17 * i
        page.text(x + 12, line, shorten(re.sub(r"^.*\.", "", method), width - 340, 11), size=11)
        for column, spot in zip(columns, spots):
            value = row.get(column)
            if value is None or value != value:
                page.text(spot, line, "–", "faint", size=11, anchor="end")
                continue
            look = units[renamed[column]]
            fill = color_of(value, look["thresholds"]) if "thresholds" in look else ""
            shown = f"{value:.0f}" if look["unit"] == "short" else written(value, look["unit"])
            page.text(spot, line, shown, size=11, anchor="end", fill=fill)

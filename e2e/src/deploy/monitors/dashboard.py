"""Draws the panels of a Grafana dashboard from what a Prometheus answers to their queries.

    dashboard.py DASHBOARD PROMETHEUS PICTURE
"""

import json
import sys
import time
import urllib.parse
import urllib.request
from collections import defaultdict
from typing import Any

from matplotlib import pyplot

# What is drawn, in seconds.
WINDOW = 20
VARIABLES = {"$instance": ".*", "$service": ".*", "[5m]": "[30s]", "[1h]": "[30s]"}
# Names and values of a service's labels that a table needs not.
HIDDEN = {"__name__", "job"}


def main() -> None:
    file, prometheus, picture = sys.argv[1:]
    with open(file) as opened:
        panels = json.load(opened)["panels"]
    height = max(place["y"] + place["h"] for place in (panel["gridPos"] for panel in panels))
    figure = pyplot.figure(figsize=(12, height / 2.6), layout="none")
    for panel in panels:
        place = panel["gridPos"]
        left, bottom = place["x"] / 24, 1 - (place["y"] + place["h"]) / height
        inset = (0.03, 0.9 / height)
        size = (place["w"] / 24 - inset[0] * 1.5, place["h"] / height - inset[1] * 2.2)
        axes = figure.add_axes((left + inset[0], bottom + inset[1], *size))
        axes.set_title(panel["title"], fontsize=9)
        DRAW[panel["type"]](axes, prometheus, panel)
    figure.savefig(picture, dpi=80)


def draw_number(axes: Any, prometheus: str, panel: dict) -> None:
    axes.axis("off")
    value = ask(prometheus, "query", panel["targets"][0])[0]["value"][1]
    axes.text(0.5, 0.4, value, ha="center", va="center", fontsize=28)


def draw_table(axes: Any, prometheus: str, panel: dict) -> None:
    axes.axis("off")
    rows = [result["metric"] for result in ask(prometheus, "query", panel["targets"][0])]
    names = sorted({name for row in rows for name in row} - HIDDEN)
    cells = [[row.get(name, "") for name in names] for row in rows]
    table = axes.table(cells, colLabels=names, loc="upper center")
    table.auto_set_font_size(False)
    table.set_fontsize(7)


def draw_lines(axes: Any, prometheus: str, panel: dict) -> None:
    now = time.time()
    for target in panel["targets"]:
        for result in ask(prometheus, "query_range", target, start=now - WINDOW, end=now, step=1):
            points = [(float(at) - now, float(value)) for at, value in result["values"]]
            legend = target["legendFormat"].replace("{{", "{").replace("}}", "}")
            label = legend.format_map(defaultdict(str, result["metric"]))
            axes.plot(*zip(*points, strict=True), label=label)
    axes.set_xlim(-WINDOW, 0)
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=6, loc="upper left")


DRAW = {"stat": draw_number, "table": draw_table, "timeseries": draw_lines}


def ask(prometheus: str, kind: str, target: dict, **parameters: float) -> list:
    query = target["expr"]
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    form = urllib.parse.urlencode({"query": query, **parameters})
    with urllib.request.urlopen(f"{prometheus}/api/v1/{kind}?{form}") as answer:
        return json.load(answer)["data"]["result"]


if __name__ == "__main__":
    main()

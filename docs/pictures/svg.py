"""What both pictures share: an SVG page that is readable in light and in dark, and how durations are written."""

from html import escape

PALETTE = ["#4e79a7", "#f28e2b", "#59a14f", "#b07aa1", "#2a9d9d", "#d4a017", "#e15759", "#9c755f", "#ff8fa3", "#8a8f98"]

STYLE = """
  .page { fill: #ffffff } .panel { fill: #f6f8fa; stroke: #d0d7de }
  .line { stroke: #d0d7de } .text { fill: #1f2328 } .faint { fill: #59636e } .stripe { fill: #f6f8fa }
  text { font: 12px ui-sans-serif, system-ui, "Segoe UI", Helvetica, Arial, "DejaVu Sans", sans-serif }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } .panel { fill: #161b22; stroke: #30363d }
    .line { stroke: #30363d } .text { fill: #e6edf3 } .faint { fill: #9198a1 } .stripe { fill: #161b22 }
  }
"""


class Page:
    """Collects elements, and writes them in the order in which they came."""

    def __init__(self, width, height, title):
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
            f"<title>{escape(title)}</title><style>{STYLE}</style>",
        ]
        self.rect(0, 0, width, height, "page")

    def rect(self, x, y, width, height, css="", fill="", opacity=1.0, radius=0, hint=""):
        look = f'class="{css}"' if css else f'fill="{fill}"'
        inner = f"<title>{escape(hint)}</title>" if hint else ""
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}" rx="{radius}" '
            f'opacity="{opacity}" {look}>{inner}</rect>'
        )

    def text(self, x, y, content, css="text", size=12, anchor="start", weight=400, fill="", aside=""):
        # A style sheet wins over attributes: size, weight and colour go where they win over it.
        color = f"; fill: {fill}" if fill else ""
        beside = f'<tspan class="faint" dx="8">{escape(aside)}</tspan>' if aside else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" class="{css}" text-anchor="{anchor}" '
            f'style="font-size: {size}px; font-weight: {weight}{color}">{escape(content)}{beside}</text>'
        )

    def line(self, x1, y1, x2, y2, stroke="", width=1.0, dash=""):
        look = f'stroke="{stroke}"' if stroke else 'class="line"'
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke-width="{width}" {look}{dashes}/>')

    def path(self, points, stroke="none", fill="none", opacity=1.0, width=1.5):
        steps = " ".join(f"{'M' if i == 0 else 'L'}{x:.1f},{y:.1f}" for i, (x, y) in enumerate(points))
        self.parts.append(f'<path d="{steps}" stroke="{stroke}" fill="{fill}" fill-opacity="{opacity}" stroke-width="{width}" stroke-linejoin="round"/>')

    def __str__(self):
        return "\n".join([*self.parts, "</svg>", ""])


def duration(seconds):
    for factor, unit in ((1e-6, "µs"), (1e-3, "ms"), (1, "s"), (60, "min")):
        value = seconds / factor
        if value < (60 if unit == "s" else 1000):
            return f"{value:.3g} {unit}" if value < 100 else f"{value:.0f} {unit}"
    return f"{seconds / 3600:.3g} h"


def shorten(content, width, size=12):
    """What fits into `width` at `size`: an average letter is a bit wider than half its height."""
    room = int(width / (size * 0.56))
    return content if len(content) <= room else content[: max(room - 1, 1)] + "…"

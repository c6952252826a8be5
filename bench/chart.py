"""The ratios of a benchmark as a bar chart: one row each, on a logarithmic scale, with the line where both are equal."""

import html
import math

WIDTH, LEFT, RIGHT, ROW, TOP = 960, 380, 90, 22, 60


def svg(result):
    rows = [row for row in result["rows"] if row.get("ratio")]
    height = TOP + ROW * len(rows) + 30
    low = min([0.5] + [row["ratio"] for row in rows])
    high = max([2.0] + [row["ratio"] for row in rows])
    span = math.log(high) - math.log(low)

    def x(ratio):
        return LEFT + (math.log(ratio) - math.log(low)) / span * (WIDTH - LEFT - RIGHT)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        '<text x="16" y="24" font-size="16" font-weight="bold">How many times better than etcd</text>',
        f'<text x="16" y="42" fill="#555">{html.escape(result["etcd"])}; {html.escape(result["machine"])}</text>',
    ]
    for mark in (0.1, 0.25, 0.5, 1, 2, 4, 10, 20, 50, 100):
        if low <= mark <= high:
            colour = "#333" if mark == 1 else "#ddd"
            parts.append(f'<line x1="{x(mark):.1f}" y1="{TOP - 8}" x2="{x(mark):.1f}" y2="{height - 20}" '
                         f'stroke="{colour}"/>'
                         f'<text x="{x(mark):.1f}" y="{height - 6}" text-anchor="middle" fill="#555">{mark:g} x</text>')
    for i, row in enumerate(rows):
        y = TOP + i * ROW
        left, right = sorted((x(1), x(row["ratio"])))
        colour = "#2a7f62" if row["ratio"] >= 1 else "#b4442f"
        parts.append(f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{html.escape(row["name"])}</text>'
                     f'<rect x="{left:.1f}" y="{y + 3}" width="{max(1, right - left):.1f}" height="{ROW - 8}" '
                     f'fill="{colour}"/>'
                     f'<text x="{right + 6:.1f}" y="{y + 14}">{row["ratio"]:.1f}</text>')
    return "\n".join(parts + ["</svg>", ""])

"""Draw the loss curve of a training log as SVG.

    curve.py LOG.jsonl OUT.svg
"""

import json
import sys
from pathlib import Path

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 320, 48, 16, 28, 40
TRAIN, HELD_OUT = "#4477aa", "#cc3311"


def main():
    log, out = sys.argv[1:]
    lines = [json.loads(line) for line in Path(log).read_text().splitlines()]
    train = [(line["tokens"] / 1e6, line["loss"]) for line in lines if "loss" in line]
    held_out = [(line["tokens"] / 1e6, line["held_out"]) for line in lines if "held_out" in line]
    end = max(x for x, _ in train + held_out)
    values = [y for _, y in train + held_out]
    low, high = int(min(values)), int(max(values)) + 1

    def x_of(x):
        return LEFT + (WIDTH - LEFT - RIGHT) * x / end

    def y_of(y):
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - y) / (high - low)

    def line(points, colour):
        path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in points)
        return f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{path}"/>'

    def text(x, y, words, anchor="middle", colour="#333"):
        return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{words}</text>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for y in range(low, high + 1):
        parts.append(f'<path stroke="#ddd" d="M{LEFT} {y_of(y):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(text(LEFT - 8, y_of(y) + 4, y, "end"))
    tick = 0.0
    while tick <= end:
        parts.append(text(x_of(tick), HEIGHT - BOTTOM + 18, f"{tick:.1f}"))
        tick += 0.5 if end <= 4 else 1.0
    parts += [
        text((LEFT + WIDTH) / 2, HEIGHT - 6, "million training tokens"),
        text(LEFT, 16, "nats per token:", "start"),
        text(LEFT + 90, 16, "training (mean of 20 steps)", "start", TRAIN),
        text(LEFT + 260, 16, "held-out stories", "start", HELD_OUT),
        line(train, TRAIN),
        line(held_out, HELD_OUT),
    ]
    parts += [f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="2.5" fill="{HELD_OUT}"/>' for x, y in held_out]
    Path(out).write_text("\n".join([*parts, "</svg>"]) + "\n")


if __name__ == "__main__":
    main()

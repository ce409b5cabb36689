"""Make the pictures of the README from a real run of the demo.

    kerasdiag demo --save examples/images
    python examples/make_images.py

Reads the profiles and figures that the demo saved and writes verdict.svg and before_after.svg beside
them: what the terminal showed, as text in a vector picture. The same files give the same pictures.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from rich.console import Console, Group
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from kerasdiag import RunProfile, diagnose
from kerasdiag.demo import saved, table
from kerasdiag.report import terminal

FOLDER = Path(__file__).parent / "images"
WIDTH = 80
# Colours that are legible on the dark ground of the picture, whatever the page around it is.
THEME = TerminalTheme(
    (22, 27, 34),
    (230, 237, 243),
    [
        (22, 27, 34),  # black, red, green, yellow, blue, magenta, cyan, white
        (255, 123, 114),
        (86, 211, 100),
        (227, 179, 65),
        (121, 192, 255),
        (210, 168, 255),
        (86, 212, 221),
        (201, 209, 217),
    ],
)
# No font is loaded from anywhere: whoever looks has a monospaced one. Its size is such that the vertical
# strokes of frames meet from line to line.
TEMPLATE = """\
<svg class="{unique_id}" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace;
    font-size: 20.9px; line-height: {line_height}px; font-variant-east-asian: full-width;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def picture(renderable, title: str, name: str) -> str:
    """Return what a terminal would show as the text of an SVG file."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, _environ={})
    console.print(renderable)
    svg = console.export_svg(title=title, theme=THEME, code_format=TEMPLATE, unique_id=name)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def pictures(folder: Path) -> dict[str, str]:
    """Return the pictures by file name."""
    before = diagnose(RunProfile.load(folder / "before.kdprof.json"))
    outcome = saved.load(folder)
    notes = [Text(line) for line in table.notes(outcome)]
    return {
        "verdict.svg": picture(terminal.panel(before), "model.fit(train_data, callbacks=[BottleneckProfiler()])", "kd"),
        "before_after.svg": picture(Group(table.table(outcome), *notes), "kerasdiag demo", "kdb"),
    }


def main() -> int:
    """Write the pictures."""
    for name, text in pictures(FOLDER).items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"wrote {FOLDER / name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

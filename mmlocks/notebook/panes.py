"""The source that every CPU is in, as HTML panes: beside each other where there is room."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

from mmlocks.machine.task import Place
from mmlocks.mm.source import Line
from mmlocks.releases import Release
from mmlocks.show.draw import cpu_colour, cpu_ink
from mmlocks.show.listing import Listing, line_at, listing
from mmlocks.show.scene_parts import (
    CpuState,
    Scene,
)

LONG = 15
"""At most so many lines of a function are shown at once."""

STYLE = """<style>
.mml-panebox{container-type:inline-size}
.mml-panes{display:flex;flex-wrap:wrap;align-items:flex-start;gap:10px;
font:13px/1.45 var(--jp-ui-font-family,system-ui,sans-serif);color:var(--jp-ui-font-color1,#1b1b1b)}
.mml-pane{flex:1 1 300px;min-width:0;max-width:100%;box-sizing:border-box;
border:1px solid var(--jp-border-color1,#c3c7cc);border-radius:6px;overflow:hidden;
background:var(--jp-layout-color2,#f4f5f7)}
.mml-pane header{padding:3px 10px}.mml-pane .mml-in{padding:6px 10px}
.mml-pane code,.mml-pane .mml-src{background:none;color:inherit;padding:0;
font:12px/1.45 var(--jp-code-font-family,Menlo,Consolas,"DejaVu Sans Mono",monospace)}
.mml-pane .mml-call{color:var(--jp-ui-font-color2,#5f5f5f);
overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.mml-pane .mml-why{font-weight:700;margin-bottom:4px}
.mml-pane .mml-purpose{font-style:italic;margin:2px 0 6px}
.mml-src div{display:grid;grid-template-columns:3.2em 1fr}
.mml-src div>span{white-space:pre-wrap;overflow-wrap:anywhere}
.mml-src div>i{font-style:normal;color:var(--jp-ui-font-color2,#5f5f5f);user-select:none}
.mml-src div.mml-now{background:#F0E442;color:#111;font-weight:700}
.mml-src div.mml-now>i{color:#111}
</style>""".replace("\n", "")


def panes(now: Scene, release: Release) -> str:
    """A pane for every CPU: its chain of calls, and the function it is in with the line marked."""
    drawn = "".join(_pane(cpu, release) for cpu in now.cpus)
    return f'{STYLE}<div class="mml-panebox"><div class="mml-panes">{drawn}</div></div>'


def _pane(cpu: CpuState, release: Release) -> str:
    colours = f"background:{cpu_colour(cpu.number)};color:{cpu_ink(cpu.number)}"
    head = f'<header style="{colours}"><b>cpu{cpu.number}</b> {escape(cpu.task)}</header>'
    inside = "".join(_inside(cpu, release))
    return f'<section class="mml-pane">{head}<div class="mml-in">{inside}</div></section>'


def _inside(cpu: CpuState, release: Release) -> Iterator[str]:
    if cpu.status == "done":
        yield '<div class="mml-why">✓ done: there is no line left to run</div>'
        return
    if cpu.status == "blocked":
        yield f'<div class="mml-why">■ {escape(cpu.why)}</div>'
    if not cpu.where:
        yield '<div class="mml-purpose">no source to show</div>'
        return
    for place in cpu.where[:-1]:
        code = f"<code>{escape(line_at(place))}</code>"
        call = f"{escape(place.function)} → {code}"
        yield f'<div class="mml-call" title="{escape(place.spot)}">{call}</div>'
    yield from _listing(cpu.where[-1], release)


def _window(shown: Listing) -> list[Line]:
    """All lines of a short function; of a long one the first line and those around the current."""
    lines = list(shown.lines)
    if len(lines) <= LONG:
        return lines
    here = next((index for index, line in enumerate(lines) if line.number == shown.current), 0)
    first = max(0, min(here - LONG // 2, len(lines) - LONG))
    window = lines[first : first + LONG]
    head = [lines[0], Line(lines[0].number + 1, "    …")] if first > 1 else lines[:first]
    rest = [Line(window[-1].number + 1, "    …")] if first + LONG < len(lines) else []
    return [*head, *window, *rest]


def _prose(text: str) -> str:
    """Text as HTML, with `code` set as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _listing(place: Place, release: Release) -> Iterator[str]:
    shown = listing(place, release)
    spot = f'<span class="mml-call">{escape(shown.spot)}</span>'
    yield f"<div><b>{escape(shown.function)}</b> {spot}</div>"
    if shown.purpose:
        yield f'<div class="mml-purpose">{_prose(shown.purpose)}</div>'
    yield '<div class="mml-src">'
    for line in _window(shown):
        here = line.number == shown.current
        mark = ' class="mml-now" aria-current="step"' if here else ""
        code = line.text.lstrip()
        hang = f' style="padding-left:{len(line.text) - len(code) + 2}ch;text-indent:-2ch"'
        lead = f"<i>{'▶' if here else ''}{line.number}</i>"
        yield f"<div{mark}>{lead}<span{hang}>{escape(code) or ' '}</span></div>"
    yield "</div>"

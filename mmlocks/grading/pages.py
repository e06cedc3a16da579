"""Feedback as a page that stands alone, and as Markdown: for a student, without mmlocks.

The page holds its own style and a few lines of script. Without script it shows every step below
the other. It loads nothing, so it can be mailed or put into an LMS.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from mmlocks.labs.feedback import Counterexample, Feedback, Line
from mmlocks.sentences import counted

STYLE = """
:root{color-scheme:light dark;--ink:#1c1e21;--back:#fff;--soft:#5b6470;--line:#d5dae1;
--mark:#fff3c4;--good:#0a6b3d;--bad:#a3211f;--open:#7a5200}
@media (prefers-color-scheme:dark){:root{--ink:#e6e8eb;--back:#16181c;--soft:#a4adb8;--line:#3a4049;
--mark:#4a3d0c;--good:#6fd39c;--bad:#ff9b94;--open:#f0c36a}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:1rem;background:var(--back);color:var(--ink);
font:1rem/1.5 system-ui,sans-serif;overflow-wrap:break-word}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}
th{white-space:nowrap}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;
border-top:1px solid var(--line)}
code,pre{font:.9rem/1.45 ui-monospace,monospace;overflow-wrap:anywhere}
pre{white-space:pre-wrap;border:1px solid var(--line);padding:.6rem;margin:.4rem 0}
.good{color:var(--good)}.bad{color:var(--bad)}.open{color:var(--open)}.soft{color:var(--soft)}
li.now,li.matters>code:first-of-type{background:var(--mark)}
.bar{display:none;gap:.5rem;align-items:center;flex-wrap:wrap;position:sticky;top:0;
background:var(--back);padding:.4rem 0}
button{font:inherit;padding:.3rem .8rem;min-height:2.4rem}
.stepped .bar{display:flex}.stepped .state{display:none}.stepped .state.now{display:block}
.state h3{font-size:1rem;margin:.2rem 0}
.stepped .both{display:flex;flex-direction:column-reverse}
@media (min-width:60rem){.stepped .both{display:grid;grid-template-columns:1fr 1fr;gap:1.5rem}
.stepped .states{position:sticky;top:3.4rem;align-self:start}}
ol.steps{padding-left:2.2rem;margin-top:0}ol.steps>li{padding:.15rem .3rem}
"""

SCRIPT = """
for(const run of document.querySelectorAll('.run')){
 const steps=[...run.querySelectorAll('ol.steps>li')],states=[...run.querySelectorAll('.state')];
 const says=run.querySelector('.says');let at=0;run.classList.add('stepped');
 const go=to=>{at=Math.max(0,Math.min(states.length-1,to));
  states.forEach((s,n)=>s.classList.toggle('now',n===at));
  steps.forEach((s,n)=>{s.classList.toggle('now',n===at-1);
   if(n===at-1)s.setAttribute('aria-current','step');else s.removeAttribute('aria-current')});
  says.textContent=at?`After step ${at} of ${steps.length}`:'Before the first step'};
 run.querySelector('.back').onclick=()=>go(at-1);run.querySelector('.on').onclick=()=>go(at+1);
 run.addEventListener('keydown',e=>{const by={ArrowLeft:-1,ArrowRight:1}[e.key];
  if(by){go(at+by);e.preventDefault()}});go(0)}
"""

COLOURS = {"CORRECT": "good", "CORRECT BUT COSTLY": "open", "UNPROVED": "open"}


@dataclass(frozen=True)
class Page:
    """What a student is told: whose it is, the marks, and the feedback, if anything was judged.

    `states` are the texts of the machine's state before the first step of the counterexample and
    after each one. `said` are further sentences, such as those about lateness.
    """

    student: str
    lab: str
    finding: str
    points: int
    of: int
    feedback: Feedback | None
    states: Sequence[str] = ()
    said: Sequence[str] = ()


def as_html(page: Page) -> str:
    """The page as a file of its own. The same page gives the same bytes."""
    title = f"{page.lab}: {page.finding}, {page.points} of {page.of} points"
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(_body(page))
        + f"\n<script>{SCRIPT}</script>\n</body></html>\n"
    )


def _body(page: Page) -> Iterator[str]:
    yield f"<h1>{escape(page.feedback.title if page.feedback else page.lab)}</h1>"
    colour = COLOURS.get(page.finding, "bad")
    yield (
        f'<p><strong class="{colour}">{escape(page.finding)}</strong>, '
        f"{page.points} of {page.of} points. {escape(page.student)}</p>"
    )
    for sentence in page.said:
        yield f"<p>{escape(sentence)}</p>"
    feedback = page.feedback
    if feedback is None:
        return
    yield f'<p class="soft">{escape(feedback.judged)}</p>'
    yield "<table><tr><th>check</th><th>points</th><th>what was found</th></tr>"
    for mark in feedback.marks:
        colour = COLOURS.get(mark.finding, "bad")
        yield (
            f"<tr><td><strong>{escape(mark.name)}</strong><br>"
            f'<span class="soft">{escape(mark.about)}</span></td>'
            f'<td>{mark.points} of {mark.of}</td><td><span class="{colour}">{escape(mark.finding)}'
            f"</span><br>{escape(mark.message)}</td></tr>"
        )
    yield "</table>"
    if feedback.likeness is not None:
        yield f"<h2>What it behaves like</h2><p>{escape(str(feedback.likeness))}</p>"
    if feedback.counterexample is not None:
        yield from _run(feedback.counterexample, page.states)
    for head, text in (("How Linux did it", feedback.linux), ("Not judged", feedback.unjudged)):
        if text:
            yield f"<h2>{head}</h2><p>{escape(text)}</p>"


def _run(shown: Counterexample, states: Sequence[str]) -> Iterator[str]:
    length = "The shortest run" if shown.shortest else "A run"
    yield f"<h2>{length} that goes wrong</h2>"
    yield f"<p>{escape(shown.message)}</p>"
    about = f"{shown.scenario}, {counted(len(shown.steps), 'step')}. {shown.why_smaller}"
    yield f'<p class="soft">{escape(about.strip())}</p>'
    if shown.lines:
        yield "<p>The lines of yours that matter:</p><ul>"
        for line in shown.lines:
            yield f"<li>{_line(line)}</li>"
        yield "</ul>"
    yield '<div class="run" tabindex="0" aria-label="The run, step by step">'
    yield (
        '<div class="bar"><button type="button" class="back">Back</button>'
        '<button type="button" class="on">Next step</button>'
        '<span class="says" role="status"></span>'
        '<span class="soft">or the arrow keys</span></div>'
    )
    yield '<div class="both"><div><ol class="steps">'
    for step in shown.steps:
        kind = ' class="matters"' if step.matters else ""
        where = f"{step.function}: " if step.function else ""
        mine = f'<br><span class="soft">{_line(step.line)}</span>' if step.line else ""
        yield f"<li{kind}><code>cpu{step.cpu}</code> {escape(where + step.does)}{mine}</li>"
    yield "</ol>"
    if shown.sliced:
        yield '<p class="soft">The marked steps matter: their order makes it go wrong.</p>'
    yield '</div><div class="states">'
    for number, state in enumerate(states):
        head = f"After step {number}" if number else "Before the first step"
        yield f'<div class="state"><h3>{head}</h3><pre>{escape(state)}</pre></div>'
    yield "</div></div></div>"
    for stands in shown.standing:
        yield f"<p>{escape(str(stands))}</p>"
    if shown.schedule:
        yield f"<p>To see it again: <code>mmlocks replay {escape(shown.schedule)}</code></p>"


def _line(line: Line) -> str:
    return f"{escape(line.spot)}: <code>{escape(line.text)}</code>"


def as_markdown(page: Page) -> str:
    """The same as Markdown, without the states."""
    feedback = page.feedback
    lines = [
        f"# {feedback.title if feedback else page.lab}",
        "",
        f"**{page.finding}**, {page.points} of {page.of} points. {page.student}",
    ]
    lines += [line for sentence in page.said for line in ("", sentence)]
    if feedback is None:
        return "\n".join(lines) + "\n"
    lines += ["", feedback.judged, "", "| check | points | what was found |", "|---|---|---|"]
    for mark in feedback.marks:
        found = " ".join(f"{mark.finding}: {mark.message}".split()).replace("|", "\\|")
        lines.append(f"| {mark.name} | {mark.points} of {mark.of} | {found} |")
    if feedback.likeness is not None:
        lines += ["", "## What it behaves like", "", str(feedback.likeness)]
    shown = feedback.counterexample
    if shown is not None:
        lines += ["", f"## {counted(len(shown.steps), 'step')} to go wrong", "", shown.message, ""]
        for step in shown.steps:
            where = f"{step.function}: " if step.function else ""
            mine = f" ({step.line.spot}: `{step.line.text}`)" if step.line else ""
            sign = " **matters**" if step.matters else ""
            lines.append(f"{step.number}. cpu{step.cpu} {where}{step.does}{mine}{sign}")
        if shown.schedule:
            lines += ["", f"To see it again: `mmlocks replay {shown.schedule}`"]
    for head, text in (("How Linux did it", feedback.linux), ("Not judged", feedback.unjudged)):
        if text:
            lines += ["", f"## {head}", "", text]
    return "\n".join(lines) + "\n"

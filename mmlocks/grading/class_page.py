"""A class at a glance, as a page: what each check found, and which answers behave alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from mmlocks.grading.formats import Graded
from mmlocks.grading.late import amount
from mmlocks.grading.pages import COLOURS, STYLE
from mmlocks.grading.result import Result
from mmlocks.grading.roster import Student
from mmlocks.sentences import counted

BARS = """
.bars{display:flex;height:1.2rem;max-width:24rem;border:1px solid var(--line)}
.bars>span{background:var(--good)}.bars>span.bad{background:var(--bad)}
.bars>span.open{background:var(--open)}
td.names{max-width:22rem}
"""


@dataclass(frozen=True)
class Group:
    """Answers that behave alike: the same findings of all checks, and the same known mistake."""

    findings: tuple[tuple[str, str], ...]
    mistake: str | None
    results: tuple[Result, ...]

    @property
    def schedule(self) -> str | None:
        """The shortest counterexample of the group."""
        found = [
            check.schedule
            for result in self.results
            for check in result.checks
            if check.schedule is not None
        ]
        return min(found, key=lambda text: (len(text), text), default=None)


def groups(results: Sequence[Result]) -> tuple[Group, ...]:
    """The answers by behaviour, the largest group first."""
    found: dict[tuple[tuple[tuple[str, str], ...], str | None], list[Result]] = {}
    for result in results:
        findings = tuple((check.name, check.finding) for check in result.checks)
        key = findings or (("all", result.finding),), result.behaves_like
        found.setdefault(key, []).append(result)
    made = [Group(*key, tuple(members)) for key, members in found.items()]
    return tuple(sorted(made, key=lambda group: (-len(group.results), group.findings)))


def class_page(lab: str, graded: Sequence[Graded], absent: Sequence[Student], of: int) -> str:
    """The page as a file of its own. The same class gives the same bytes."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(lab)}: the class</title>\n<style>{STYLE}{BARS}</style></head>\n<body>\n"
        + "\n".join(_body(lab, graded, absent, of))
        + "\n</body></html>\n"
    )


def _body(lab: str, graded: Sequence[Graded], absent: Sequence[Student], of: int) -> Iterator[str]:
    results = [each.result for each in graded]
    yield f"<h1>{escape(lab)}: {counted(len(results), 'submission')}</h1>"
    if absent:
        yield f"<p>Nothing was handed in by {counted(len(absent), 'student')} of the roster.</p>"
    yield from _for_a_person(graded)
    yield "<h2>Each check</h2><table><tr><th>check</th><th>earned by</th><th></th></tr>"
    names = dict.fromkeys(check.name for result in results for check in result.checks)
    for name in names:
        found = [check for result in results for check in result.checks if check.name == name]
        passed = sum(check.points > 0 for check in found)
        yield (
            f"<tr><td>{escape(name)}</td><td>{passed} of {len(results)}</td>"
            f"<td>{_bar(Counter(check.finding for check in found), len(results))}</td></tr>"
        )
    yield f"</table><h2>Marks</h2><table><tr><th>of {of}</th><th>students</th></tr>"
    for mark, many in sorted(Counter(each.mark.points for each in graded).items(), reverse=True):
        yield f"<tr><td>{amount(mark)}</td><td>{many}</td></tr>"
    yield "</table><h2>Answers that behave alike</h2>"
    yield "<p>The same checks reject them, and they behave like the same known mistake.</p>"
    yield "<table><tr><th>many</th><th>what they do</th><th>whose</th></tr>"
    for group in groups(results):
        yield from _group(group)
    yield "</table>"


def _for_a_person(graded: Sequence[Graded]) -> Iterator[str]:
    seen = [each for each in graded if each.result.eye or each.mark.eye]
    if not seen:
        return
    yield f"<h2>{counted(len(seen), 'submission')} for a person to look at</h2><ul>"
    for each in seen:
        why = "; ".join((*each.result.eye, *each.mark.eye))
        yield f"<li><strong>{escape(each.result.student.label)}</strong>: {escape(why)}</li>"
    yield "</ul>"


def _bar(found: Counter[str], of: int) -> str:
    parts = "".join(
        f'<span class="{COLOURS.get(finding, "bad")}" style="width:{100 * many / of:.1f}%" '
        f'title="{escape(finding)}: {many}"></span>'
        for finding, many in sorted(found.items())
    )
    said = ", ".join(f"{finding}: {many}" for finding, many in sorted(found.items()))
    return f'<div class="bars" aria-hidden="true">{parts}</div><span class="soft">{said}</span>'


def _group(group: Group) -> Iterator[str]:
    findings = "; ".join(f"{name}: {finding}" for name, finding in group.findings)
    mistake = f"<br>They behave like: {escape(group.mistake)}." if group.mistake else ""
    schedule = (
        f"<br>The shortest way to go wrong: <code>{escape(group.schedule)}</code>"
        if group.schedule
        else ""
    )
    whose = ", ".join(sorted(result.student.label for result in group.results))
    yield (
        f"<tr><td>{len(group.results)}</td><td>{escape(findings)}{mistake}{schedule}</td>"
        f'<td class="names">{escape(whose)}</td></tr>'
    )

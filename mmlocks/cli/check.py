"""`mmlocks check`: an answer to a lab, judged."""

from __future__ import annotations

from pathlib import Path

import click

from mmlocks.cli import options
from mmlocks.cli.names import budget, the_lab
from mmlocks.cli.terminal import STATUSES, Meter, print_json


@click.command(epilog=STATUSES)
@options.lab
@click.argument("file", metavar="FILE", type=Path, help="A .py or .ipynb with your function.")
@options.seconds
@options.as_json
def check(lab: str, file: Path, seconds: float | None, as_json: bool) -> int:
    """
    Judge an answer to a lab by every interleaving.

    The code in FILE runs in this process, with your rights. Use it for your own answers. To mark
    the answers of others, use a sandbox.
    """
    from mmlocks.cli import check_report
    from mmlocks.cli.answers import load_answer, own_code
    from mmlocks.labs.feedback import feedback_on

    chosen = the_lab(lab)
    answer = load_answer(file)
    with own_code(file), Meter(file.name) as meter:
        judgement = chosen.judge(answer, budget(None, seconds), meter)
        told = feedback_on(
            judgement.examination, judgement.results, answer.judged, compared=judgement.compared
        )
    with own_code(file):
        shown = check_report.judgement_json(judgement, told)
    if as_json:
        print_json(shown)
    else:
        check_report.print_judgement(judgement, file, told, lab)
    return check_report.STATUS_OF_FINDING[judgement.finding]

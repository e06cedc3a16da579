"""What lesson 07 says in words, beside what its own cells compute."""

from mmlocks.scenarios import check
from mmlocks.scenarios.fork_many import fork_many


def test_it_takes_three_threads_to_lose_a_store() -> None:
    assert check(fork_many(1, 1), "6.4.0").verdict.outcome == "safe"
    assert check(fork_many(1, 2), "6.4.0").verdict.outcome == "violated"

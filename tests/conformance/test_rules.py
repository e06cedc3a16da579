"""Which rules a kernel has, going by its version; and what is said where there is none to compare with."""

import platform

import pytest

from mmlocks.conformance.rules import (
    BACKPORTS,
    COMPARED,
    all_rules,
    doubts,
    release_of,
    rules_of,
    running_release,
    running_version,
    version_of,
)
from mmlocks.errors import HostError
from mmlocks.releases import LAYOUT_RULES, NEWEST


@pytest.mark.parametrize(
    ("release", "version"),
    [
        ("6.18.44", (6, 18, 44)),
        ("6.18", (6, 18)),
        ("6.8.0-45-generic", (6, 8, 0)),
        ("5.15.167.4-microsoft-standard-WSL2", (5, 15, 167)),
        ("6.1.0-28-amd64", (6, 1, 0)),
        ("6.12.0-rc3+", (6, 12, 0)),
        ("6.17-rc1", (6, 17)),
    ],
)
def test_versions_are_read(release: str, version: tuple[int, ...]) -> None:
    assert version_of(release) == version


@pytest.mark.parametrize("release", ["", "linux", "6", "v6.1"])
def test_what_is_no_version_is_said(release: str) -> None:
    with pytest.raises(HostError, match="not a kernel release"):
        version_of(release)


def test_every_rule_begins_where_it_was_shipped() -> None:
    assert rules_of((6, 1)) == []
    for patch in LAYOUT_RULES.values():
        major, minor, *_ = version_of(patch.shipped)
        assert patch in rules_of((major, minor))
        assert patch not in rules_of((major, minor - 1))
        assert patch in rules_of((major + 1, 0))


def test_stable_releases_may_have_a_rule_earlier() -> None:
    for name, releases in BACKPORTS.items():
        for major, minor, stable in releases:
            assert LAYOUT_RULES[name] in rules_of((major, minor, stable))
            assert LAYOUT_RULES[name] in rules_of((major, minor, stable + 1))
            assert LAYOUT_RULES[name] not in rules_of((major, minor, stable - 1))


def pretend(monkeypatch: pytest.MonkeyPatch, system: str, release: str) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "release", lambda: release)


def test_the_running_kernel_has_the_course_s_patches_and_the_rules_of_its_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend(monkeypatch, "Linux", "6.8.0-45-generic")
    release = running_release()
    assert release.name == "6.8.0"
    assert release == release_of("6.8.0")
    assert release.patches == {*NEWEST.patches, *rules_of((6, 8))}


@pytest.mark.parametrize(
    ("system", "release", "said"),
    [
        ("Darwin", "24.1.0", "this is Darwin"),
        ("Windows", "11", "this is Windows"),
        ("Emscripten", "3.1.58", "this is Emscripten"),
        ("", "", "this is no Linux"),
        ("Linux", "5.15.167.4-microsoft-standard-WSL2", "this is Linux 5.15.167"),
        ("Linux", "6.0.19", "6.1 and later"),
    ],
)
def test_what_cannot_be_compared_is_said(
    monkeypatch: pytest.MonkeyPatch, system: str, release: str, said: str
) -> None:
    pretend(monkeypatch, system, release)
    with pytest.raises(HostError, match=said) as caught:
        running_version()
    assert "mmlocks host diff --recorded FILE" in str(caught.value)


def test_a_kernel_that_was_never_compared_gives_doubts() -> None:
    assert all(doubts(version_of(kernel)) is None for kernel in COMPARED)
    assert "has not been run on Linux 6.5" in str(doubts((6, 5, 3)))


def test_the_list_of_rules_is_in_order_and_says_what_is_known() -> None:
    listed = all_rules((6, 12, 1))
    assert {rule.patch.name for rule in listed} == LAYOUT_RULES.keys()
    since = [version_of(rule.patch.shipped) for rule in listed]
    assert since == sorted(since)
    assert {rule.active for rule in listed} == {True, False}
    assert {rule.active for rule in all_rules(None)} == {None}

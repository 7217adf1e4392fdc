"""README.ja.md is kept in step with README.md: the same sections, commands, figures and links."""

import re

import pytest

from tests.support.paths import ROOT

ENGLISH = (ROOT / "README.md").read_text()
JAPANESE = (ROOT / "README.ja.md").read_text()

SECTIONS = {
    "Install, and complete a photograph": "インストールして、写真を補完する",
    "Quickstart": "クイックスタート",
    "Train your own": "自分の写真で学習する",
    "Results": "結果",
    "Python": "Python",
    "Where things are": "ソースコードの構成",
    "Documentation": "ドキュメント",
    "Citation and licence": "引用とライセンス",
}
"""Of README.md, in its order, and what they are called in Japanese."""
ITS_OWN = {"「学習不足か、それともどこか間違っているのか」", "できること"}
"""For the readers of the article."""


def sections(text: str) -> dict[str, str]:
    outside = re.split(r"^## (.*)$", re.sub(r"^(#+ )", r"\1", text), flags=re.M)
    return dict(zip(["", *outside[1::2]], outside[0::2], strict=True))


def figures(text: str) -> set[str]:
    """Numbers of two digits or more, without those in code, links and addresses."""
    plain = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", " ", text, flags=re.S)
    return set(re.findall(r"(?<![\w.])\d+[.\d]*\d(?![\w])|(?<![\w.])\d+e-\d+", plain))


def test_sections():
    assert list(sections(ENGLISH))[1:] == list(SECTIONS)
    assert [name for name in sections(JAPANESE) if name not in ITS_OWN][1:] == list(SECTIONS.values())


@pytest.mark.parametrize("section", ["", *SECTIONS])
def test_commands_figures_and_links(section):
    english, japanese = sections(ENGLISH)[section], sections(JAPANESE)[SECTIONS.get(section, "")]
    for pattern in (r"^```.*?^```$", r"`([\w./]+/)`"):
        assert re.findall(pattern, japanese, re.M | re.S) == re.findall(pattern, english, re.M | re.S)
    assert figures(english) <= figures(japanese) | {"2017"}
    assert set(re.findall(r"\]\(([^)]*)\)", english)) <= set(re.findall(r"\]\(([^)]*)\)", japanese))

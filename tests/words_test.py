"""The project is written in plain standard English: phrases that readers stumble over are banned.

Programs print, log, warn, raise, return and report; only people say and tell. A sentence has the
order subject, verb, object, and does not begin with "Of". "Next to" or "compared with" replaces
"beside".
"""

import ast
import io
import re
import tokenize

import pytest

from tests.support.processes import ROOT

pytestmark = pytest.mark.one_backend("prose is the same under any backend")

# Each pattern with what to write instead.
BANNED = {
    r"\bwhat(?:ever)? (?:is|are|it|was|were|they|has|have|had|lies|stands)\b(?![^.!\n]*\?)": (
        "name the noun"
    ),
    r"\b(?:tell|tells|told|telling)\b": "print, log, report, show, distinguish",
    r"\b(?:say|says|said|saying)\b": "print, log, report, state",
    r"\bbeside\b": "next to, compared with, in addition to",
    r"\b(?:go|goes|gone|going|went) on\b": "resume, continue",
    r"(?:^|(?<=[.:;?!] ))Of (?!course)": "subject, verb, object",
    r"\bgood already\b": "pretrained",
    r"\bmade again\b": "reproducible",
    r"\bwatched\b": "held-out",
    r"\b(?:looked at|look at it|takes a look)\b": "inspected, checked",
    r"\bis worth\b|\bare worth\b": "evaluate, quality",
    r"\bof its own kind\b|\bin its midst\b|\bis no part of\b|\bnothing of\b": "state it plainly",
    r"\bin the like\b|\band the like\b": "name the things",
    r"\bby which\b|\bof which\b|\bof what\b|\bwhat of\b|\bof such\b": "name the noun",
    r"\bare there\b(?![^.!\n]*\?)": "if, when",
}
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", ".github/**/*.md")
    for path in ROOT.glob(pattern)
    if path.name != "CODE_OF_CONDUCT.md"  # the Contributor Covenant's own words
)
MODULES = sorted(
    path
    for folder in ("keras_isd", "examples", "experiments", "benchmarks", "tests", "docs")
    for path in (ROOT / folder).rglob("*.py")
    if path.name != "words_test.py"
)


def prose_of_page(text):
    """(line number, text) of a Markdown page, without code."""
    is_code = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code:
            yield number, re.sub(r"`[^`]*`", "`code`", line).lstrip("-*#|> ").strip()


def prose_of_module(text):
    """(line number, text) of comments and of strings of several words: docstrings and messages."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("# ")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            for offset, line in enumerate(node.value.splitlines()):
                yield node.lineno + offset, re.sub(r"`[^`]*`", "`code`", line.strip())


def banned_phrases(path):
    """(path, line, phrase, what to write) of each banned phrase of a file."""
    prose = prose_of_page if path.suffix == ".md" else prose_of_module
    for number, text in prose(path.read_text(encoding="utf-8")):
        for pattern, instead in BANNED.items():
            for match in re.finditer(pattern, text, re.IGNORECASE if pattern[0] != "(" else 0):
                yield f"{path.relative_to(ROOT)}:{number}", match[0], instead


@pytest.mark.parametrize("files", [PAGES, MODULES], ids=["pages", "modules"])
def test_no_phrase_makes_a_reader_stumble(files):
    assert [found for path in files for found in banned_phrases(path)] == []


def test_a_banned_phrase_is_found_in_a_page_and_in_a_module(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    page, module = tmp_path / "page.md", tmp_path / "module.py"
    page.write_text("It `says` so.\n\n```\nit says so\n```\n- Of all images some lie apart.\n")
    module.write_text('def f():\n    """Tells more."""\n    x = "told"  # goes on with it\n')
    assert [found[:2] for found in banned_phrases(page)] == [("page.md:6", "Of ")]
    assert {found[:2] for found in banned_phrases(module)} == {
        ("module.py:2", "Tells"),
        ("module.py:3", "goes on"),
    }

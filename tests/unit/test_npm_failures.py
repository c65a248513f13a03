"""What npm and its tools print when they fail becomes a cause and a next step."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.build.npm_failures import explain_npm_failure

RECORDED = Path(__file__).parents[1] / "data" / "npm_errors"

EXPECTED = {
    "broken_json": ("package.json is no JSON: JSONParseError", "mend that file"),
    "certificate": ("certificate of the registry is not trusted", "cafile"),
    "disk_full": ("disk is full", "free some space"),
    "heap": ("Node.js ran out of memory", "--max-old-space-size"),
    "import_unresolved": ("src/main.ts imports ./other, and there is no such", "mend that import"),
    "integrity": ("not the one that package-lock.json names", "npm cache verify"),
    "lock_missing": ("has no package-lock.json", "npm install"),
    "lock_out_of_date": (
        "package-lock.json does not fit package.json: Invalid: lock file's onnxruntime-web@1.30.0",
        "npm install",
    ),
    "no_name": ("npm.example.org cannot be found", "check the network"),
    "no_script": ("no script named build", "generated into a new directory"),
    "not_installed": ("packages are not installed: tsc is missing", "npm ci"),
    "offline": ("was never fetched", "with a network"),
    "old_node": ("Node.js 16.20.2 is too old", "Node.js 20"),
    "old_node_ci": ("Node.js 16.20.2 is too old", "Node.js 20"),
    "package_unresolved": ("imports zod-none, which is not installed", "npm install zod-none"),
    "permission": ("/srv/me/reader/node_modules may not be written", "without running npm as root"),
    "proxy": ("proxy refuses the connection", "https-proxy"),
    "refused": ("registry cannot be reached (ECONNREFUSED)", "check the network"),
    "status_401": ("asks for a login", "npm login"),
    "status_404": ("registry has no yocto-queue@0.1.0", "npm config get registry"),
    "status_503": ("registry cannot be reached (E503)", "check the network"),
    "syntax_error": ('src/main.ts:1: Expected identifier but found "="', "mend that line"),
    "type_error": (
        "src/main.ts:1: Type 'string' is not assignable to type 'number' (and 1 more)",
        "mend that line",
    ),
}


def recorded(name: str) -> str:
    return (RECORDED / f"{name}.txt").read_text(encoding="utf-8")


def test_every_recording_is_expected() -> None:
    assert sorted(EXPECTED) == sorted(path.stem for path in RECORDED.iterdir())


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_failure_has_a_cause_and_a_next_step(name: str) -> None:
    failure = explain_npm_failure(recorded(name))
    cause, step = EXPECTED[name]
    assert cause in failure.cause
    assert failure.next_step
    assert step in failure.next_step


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_ends_of_lines_mean_nothing(name: str) -> None:
    text = recorded(name)
    assert explain_npm_failure(text.replace("\n", "\r\n")) == explain_npm_failure(text)


def test_what_lies_deepest_wins() -> None:
    both = recorded("refused") + recorded("disk_full")
    assert explain_npm_failure(both) == explain_npm_failure(recorded("disk_full"))


def test_what_no_rule_knows_is_told_in_the_tools_own_words() -> None:
    vite = "vite v6 building\nerror during build:\nthe plugin is unwell.\n    at f (x.js:1:1)\n"
    assert explain_npm_failure(vite).cause == "the plugin is unwell"
    npm = "npm error code EWEIRD\nnpm error\nnpm error something odd\nnpm error A complete log\n"
    assert explain_npm_failure(npm).cause == "something odd"
    assert explain_npm_failure(npm).next_step is None
    assert explain_npm_failure("").cause == "it printed nothing"


@given(st.text())
def test_anything_printed_is_explained(text: str) -> None:
    assert explain_npm_failure(text).cause

"""JUnit XML that CI systems read, whatever the names hold."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from ortlab.report import JUnitRow, JUnitStatus, junit

ROWS = (
    JUnitRow(name="fixed", status=JUnitStatus.PASSED, duration_s=1.5),
    JUnitRow(name="runtime", status=JUnitStatus.FAILED, message="3.1 % slower, limit 2 %"),
    JUnitRow(name="int8", status=JUnitStatus.ERROR, message="inconclusive"),
    JUnitRow(name="fp16", status=JUnitStatus.SKIPPED, message="not measured"),
)


def test_counts_and_elements() -> None:
    suite = ET.fromstring(junit("gate", ROWS)).find("testsuite")
    assert suite is not None
    assert {k: suite.get(k) for k in ("tests", "failures", "errors", "skipped", "time")} == {
        "tests": "4",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
        "time": "1.500",
    }
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == ["fixed", "runtime", "int8", "fp16"]
    assert [child.tag for case in cases for child in case] == ["failure", "error", "skipped"]
    failure = cases[1].find("failure")
    assert failure is not None
    assert failure.get("message") == failure.text == "3.1 % slower, limit 2 %"


def test_no_rows() -> None:
    suite = ET.fromstring(junit("gate", ())).find("testsuite")
    assert suite is not None
    assert suite.get("tests") == "0"


@given(st.text(st.characters()), st.text(st.characters()), st.sampled_from(JUnitStatus))
def test_any_name_gives_a_well_formed_document(name: str, said: str, status: JUnitStatus) -> None:
    text = junit(name, (JUnitRow(name=name, status=status, message=said),))
    root = ET.fromstring(text.encode("utf-8"))
    cases = list(root.iter("testcase"))
    assert len(cases) == 1
    assert len(list(root.iter())) == 3 + len(cases[0])

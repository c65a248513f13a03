"""What continuous integration reads of a night, whatever models and phones are called."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from device_lab.night_gate import CellKey, NightVerdict, Rerun, Screening, decide_night
from device_lab.summary import MOST_ROWS, junit, markdown

SLOW = (0.05, 0.04, 0.06) * 4
SAME = (0.01, -0.01, 0.005, -0.005) * 3
NAMES = st.text(st.characters(), max_size=40)


def cell(name: str, log_ratios: tuple[float, ...] = SAME, reason: str = "") -> Screening:
    return Screening(
        key=CellKey(model=name, setting="threads 2", phone_id="p1"),
        job_id="job",
        model_name=name,
        phone_name="Phone 1",
        log_ratios=log_ratios,
        reason=reason,
    )


def a_night() -> NightVerdict:
    cells = [
        cell("calm"),
        cell("slow", SLOW),
        cell("shy", SLOW),
        cell("open", SLOW),
        cell("lost", (), "its cable was pulled"),
    ]
    reruns = {cells[1].key: Rerun(log_ratios=SLOW), cells[2].key: Rerun(log_ratios=SAME)}
    return decide_night(cells, reruns, limit=0.0)


def test_each_cell_is_a_test_case_with_its_outcome() -> None:
    suite = ET.fromstring(junit(a_night())).find("testsuite")
    assert suite is not None
    counts = {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "5", "failures": "1", "errors": "1", "skipped": "1"}
    cases = {case.get("name"): [child.tag for child in case] for case in suite}
    assert cases == {
        "calm (threads 2) on Phone 1 (p1)": ["system-out"],
        "slow (threads 2) on Phone 1 (p1)": ["failure"],
        "shy (threads 2) on Phone 1 (p1)": ["system-out"],
        "open (threads 2) on Phone 1 (p1)": ["error"],
        "lost (threads 2) on Phone 1 (p1)": ["skipped"],
    }
    failure = suite.find(".//failure")
    assert failure is not None
    assert "slower than its base" in str(failure.text)


def test_no_two_test_cases_have_one_name() -> None:
    cells = [
        Screening(
            key=CellKey(model=f"/{release}/reader", setting="", phone_id=phone_id),
            job_id="job",
            model_name="reader",
            phone_name="Phone",
            log_ratios=SAME,
        )
        for release in ("a", "b")
        for phone_id in ("p1", "p2")
    ]
    suite = ET.fromstring(junit(decide_night(cells, {}, limit=0.0))).find("testsuite")
    assert suite is not None
    assert len({case.get("name") for case in suite}) == 4


def test_a_missing_cell_is_an_error_when_completeness_is_asked() -> None:
    suite = ET.fromstring(junit(a_night(), complete=True)).find("testsuite")
    assert suite is not None
    assert (suite.get("errors"), suite.get("skipped")) == ("2", "0")


def test_the_summary_tells_the_verdict_the_counts_and_what_stands_out() -> None:
    text = markdown(a_night())
    assert text.startswith("### ortlab lab gate: fail\n")
    assert "| slower | 1 |" in text
    assert "| no slowdown seen | 1 |" in text
    assert "slow (threads 2) | Phone 1 (p1) | +5.1 %" in text
    assert "its cable was pulled" in text
    assert text.index("#### slower") < text.index("#### not measured")
    assert "calm" not in text


def test_a_long_list_is_cut_with_a_word() -> None:
    lost = [cell(f"model{index:04d}", (), "lost") for index in range(MOST_ROWS + 7)]
    text = markdown(decide_night(lost, {}, limit=0.0))
    assert text.count("| model0") == MOST_ROWS
    assert "… and 7 more" in text


@given(NAMES, NAMES, NAMES)
def test_hostile_names_give_a_well_formed_document(name: str, phone: str, reason: str) -> None:
    key = CellKey(model=name, setting=phone, phone_id=phone)
    made = Screening(key=key, job_id="j", model_name=name, phone_name=phone, reason=reason)
    verdict = decide_night([made], {}, limit=0.0)
    root = ET.fromstring(junit(verdict).encode("utf-8"))
    assert len(list(root.iter("testcase"))) == 1
    assert len(list(root.iter())) == 4  # suites, suite, case, skipped: no element of theirs


@given(NAMES, NAMES, NAMES)
def test_hostile_names_stay_inside_of_their_cell(name: str, phone: str, reason: str) -> None:
    plain = markdown(decide_night([cell("x", (), "y")], {}, limit=0.0))
    key = CellKey(model=name, setting=phone, phone_id=phone)
    made = Screening(key=key, job_id="j", model_name=name, phone_name=phone, reason=reason)
    text = markdown(decide_night([made], {}, limit=0.0))
    assert len(text.splitlines()) == len(plain.splitlines())
    (row,) = [line for line in text.splitlines() if line.endswith("|") and "–" in line]
    assert row.replace("\\\\", "").replace("\\|", "").count("|") == 6


def test_markup_of_names_is_shown_and_not_obeyed() -> None:
    text = markdown(decide_night([cell("<script>[x](http://y)", (), "z")], {}, limit=0.0))
    assert "\\<script\\>\\[x\\]" in text

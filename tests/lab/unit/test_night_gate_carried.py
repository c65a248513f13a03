"""A night from the first job to the verdict, on the real store; a played lab measures."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from device_lab.night_gate import CellOutcome, NightStatus
from device_lab.night_plan import NightRequest, Pair, gate_section, screening_specs
from device_lab.nightly import NightAnswer, Waiting, carry_through, read_screenings
from device_lab.store import LabStore
from device_lab.values import CellResult, Comparison, LabPhone, Outcome, Requirements
from ortlab.domain import DeviceInfo, DeviceKind
from ortlab.errors import DeviceError, StorageError, UsageError

START = datetime(2026, 11, 21, 22, tzinfo=UTC)


@dataclass
class PlayedLab:
    """Phones that measure one cell each whenever somebody waits; time passes as it is asked to.

    Attributes:
        effects: Model to its true slowdown.
        refuses: Phones on which every attempt fails.
        mute: Phones whose experiments support no verdict.
        tamper: Changes each result before it is stored.
    """

    store: LabStore
    effects: dict[str, float] = field(default_factory=dict)
    phones: tuple[str, ...] = ("p1", "p2")
    refuses: set[str] = field(default_factory=set)
    mute: set[str] = field(default_factory=set)
    works: bool = True
    now: datetime = START
    told: list[str] = field(default_factory=list)
    measured: list[tuple[str, str, int | None]] = field(default_factory=list)
    tamper: Callable[[CellResult], CellResult] = lambda result: result
    generator: random.Random = field(default_factory=lambda: random.Random(5))

    def plug_in(self) -> None:
        self.store.see_phones("host-1", [self._phone(name) for name in self.phones], self.now)

    def waiting(self, *, interrupt_after: int | None = None) -> Waiting:
        pauses = 0

        def pause(duration_s: float) -> None:
            nonlocal pauses
            pauses += 1
            if interrupt_after is not None and pauses > interrupt_after:
                raise KeyboardInterrupt
            self.now += timedelta(seconds=max(duration_s, 60.0))
            if self.works:
                self.plug_in()
                for name in self.phones:
                    self._measure_one(name)

        return Waiting(clock=lambda: self.now, pause=pause, say=self.told.append)

    def _phone(self, name: str) -> LabPhone:
        info = DeviceInfo(
            device_id=name,
            kind=DeviceKind.ANDROID,
            name=f"Phone {name}",
            os_version="Android 14",
            architecture="arm64-v8a",
            cpu="8 cores",
            memory_bytes=8 << 30,
            ort_version="1.31.1",
            available_providers=(),
        )
        return LabPhone(
            phone_id=name,
            host_id="host-1",
            info=info,
            soc=None,
            labels=(),
            battery_percent=90.0,
            temperature_c=25.0,
            free_bytes=10 << 30,
            noise_floor=0.01,
            seen_at=self.now,
        )

    def _measure_one(self, name: str) -> None:
        lease = self.store.claim("player", name, self.now)
        if lease is None:
            return
        cell = self.store.cell(lease.cell_id)
        spec = self.store.job(cell.job_id).spec
        self.measured.append((cell.model, name, spec.bench.seed))
        if name in self.refuses:
            self.store.finish(lease, Outcome.FAILED, self.now, reason="its cable was pulled")
            return
        effect = self.effects.get(cell.model, 0.0)
        ratios = tuple(self.generator.gauss(effect, 0.02) for _ in range(spec.bench.max_rounds))
        muted = name in self.mute
        comparison = Comparison(
            arm=".onnx",
            baseline="base: .onnx",
            ratio=1.0,
            low=1.0,
            high=1.0,
            verdict="no verdict" if muted else "inconclusive",
            sentence=".onnx against base: .onnx: no verdict: too warm." if muted else "",
            log_ratios=ratios,
        )
        result = CellResult(
            cell_id=cell.cell_id,
            job_id=cell.job_id,
            model=cell.model,
            model_name=Path(cell.model).name,
            phone_id=name,
            phone_name=f"Phone {name}",
            virtual=False,
            finished_at=self.now,
            control="c" * 64,
            control_label="base: .onnx",
            trust="A",
            comparisons=(comparison,),
            sentences=(),
        )
        self.store.finish(lease, Outcome.DONE, self.now, result=self.tamper(result))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[PlayedLab]:
    store = LabStore(f"sqlite:///{tmp_path / 'lab.db'}")
    played = PlayedLab(store)
    played.plug_in()
    yield played
    store.close()


def request(*models: str, **changes: Any) -> NightRequest:
    pairs = tuple(Pair(new=model, base=f"{model}-base", digest=model * 8) for model in models)
    plain = NightRequest(
        name="night", pairs=pairs, limit=0.0, settings={"": gate_section(rounds=24)}
    )
    return replace(plain, **changes)


def outcomes(answer: NightAnswer) -> dict[tuple[str, str], CellOutcome]:
    return {
        (cell.screening.key.model, cell.screening.key.phone_id): cell.outcome
        for cell in answer.verdict.cells
    }


def test_a_slower_model_is_found_on_every_phone_and_its_neighbour_is_not(lab: PlayedLab) -> None:
    lab.effects = {"slow": 0.06}
    answer = carry_through(lab.store, request("slow", "calm"), lab.waiting())
    assert answer.verdict.status is NightStatus.FAIL
    found = outcomes(answer)
    assert found[("slow", "p1")] is found[("slow", "p2")] is CellOutcome.SLOWER
    assert set(found) == {(model, phone) for model in ("slow", "calm") for phone in ("p1", "p2")}
    assert CellOutcome.SLOWER not in (found["calm", "p1"], found["calm", "p2"])


def test_suspects_are_measured_again_on_their_phone_with_another_order(lab: PlayedLab) -> None:
    lab.effects = {"slow": 0.06}
    answer = carry_through(lab.store, request("slow"), lab.waiting())
    assert len(answer.screening_jobs) == 1
    assert len(answer.rerun_jobs) == 2
    by_phone = {name: [seed for _, p, seed in lab.measured if p == name] for name in ("p1", "p2")}
    for seeds in by_phone.values():
        assert len(seeds) == 2
        assert len(set(seeds)) == 2
    assert any("measuring 2 suspect(s) again" in line for line in lab.told)


def test_the_rerun_alone_decides(lab: PlayedLab) -> None:
    # What the screening saw is gone in the rerun: however large it was, it counts for nothing.
    calm_from = len(lab.phones)
    lab.effects = {"odd": 0.5}

    def calm_later(result: CellResult) -> CellResult:
        lab.effects = {"odd": 0.5} if len(lab.measured) < calm_from else {}
        return result

    lab.tamper = calm_later
    answer = carry_through(lab.store, request("odd"), lab.waiting())
    assert set(outcomes(answer).values()) == {CellOutcome.NOT_CONFIRMED}
    assert answer.verdict.status is NightStatus.PASS


@pytest.mark.parametrize("pauses", range(6))
def test_the_same_request_goes_on_where_it_was_stopped(lab: PlayedLab, pauses: int) -> None:
    lab.effects = {"slow": 0.06}
    asked = request("slow", "calm")
    try:
        carry_through(lab.store, asked, lab.waiting(interrupt_after=pauses))
    except KeyboardInterrupt:
        # The lab goes on by itself, and no phone of the night is what it was when it began.
        waiting = lab.waiting()
        for _ in range(3):
            waiting.pause(1.0)
        lab.phones = (*lab.phones, "p3")
        lab.plug_in()
    answer = carry_through(lab.store, asked, lab.waiting())
    assert len(outcomes(answer)) == 4
    assert len(lab.store.jobs()) == len(answer.screening_jobs) + len(answer.rerun_jobs)
    assert len(lab.measured) == 4 + sum(
        len(lab.store.job(job_id).spec.models) for job_id in answer.rerun_jobs
    )
    again = carry_through(lab.store, asked, lab.waiting(interrupt_after=0))
    assert again == answer


def test_another_name_measures_again(lab: PlayedLab) -> None:
    first = carry_through(lab.store, request("calm"), lab.waiting())
    second = carry_through(lab.store, request("calm", name="other"), lab.waiting())
    assert set(first.screening_jobs).isdisjoint(second.screening_jobs)
    assert len({seed for _, _, seed in lab.measured}) == 2


def test_another_content_at_the_same_path_is_another_night() -> None:
    before, after = request("m"), request("m")
    after = replace(after, pairs=(replace(after.pairs[0], digest="new content"),))
    assert screening_specs(before)[0][1].name != screening_specs(after)[0][1].name
    assert screening_specs(before) == screening_specs(request("m"))


def test_a_cell_that_fails_is_told_with_its_reason(lab: PlayedLab) -> None:
    lab.refuses = {"p2"}
    answer = carry_through(lab.store, request("calm", retries=0), lab.waiting())
    missing = answer.verdict.of(CellOutcome.NOT_MEASURED)
    assert [cell.screening.reason for cell in missing] == ["its cable was pulled"]
    assert answer.verdict.status is NightStatus.PASS
    strict = carry_through(lab.store, request("calm", retries=0, complete=True), lab.waiting())
    assert strict.verdict.status is NightStatus.INCONCLUSIVE


def test_an_experiment_without_a_verdict_is_no_result(lab: PlayedLab) -> None:
    lab.mute, lab.effects = {"p1"}, {"slow": 0.5}
    answer = carry_through(lab.store, request("slow"), lab.waiting())
    found = outcomes(answer)
    assert found["slow", "p1"] is CellOutcome.NOT_MEASURED
    assert found["slow", "p2"] is CellOutcome.SLOWER
    (missing,) = answer.verdict.of(CellOutcome.NOT_MEASURED)
    assert missing.screening.reason == "too warm."


def test_a_suspect_whose_phone_breaks_leaves_the_night_open(lab: PlayedLab) -> None:
    lab.effects = {"slow": 0.06}

    def break_after(result: CellResult) -> CellResult:
        lab.refuses = set(lab.phones)
        return result

    lab.phones, lab.tamper = ("p1",), break_after
    lab.plug_in()
    answer = carry_through(lab.store, request("slow", retries=1), lab.waiting())
    assert set(outcomes(answer).values()) == {CellOutcome.NOT_RERUN}
    assert answer.verdict.status is NightStatus.INCONCLUSIVE
    assert "its cable was pulled" in answer.verdict.cells[0].sentence


def test_what_takes_too_long_is_cancelled_and_told(lab: PlayedLab) -> None:
    lab.works = False
    answer = carry_through(lab.store, request("calm", most_hours=2.0), lab.waiting())
    assert set(outcomes(answer).values()) == {CellOutcome.NOT_MEASURED}
    assert lab.now - START < timedelta(hours=3)
    assert answer.verdict.status is NightStatus.INCONCLUSIVE
    assert any("is an agent running" in line for line in lab.told)
    assert all("not done within 2 h" in cell.sentence for cell in answer.verdict.cells)


def test_a_deadline_that_passed_is_told_as_the_reason(lab: PlayedLab) -> None:
    ((_, spec),) = screening_specs(request("calm", requirements=Requirements()))
    spec = replace(spec, deadline=START + timedelta(hours=1))
    job = lab.store.job(lab.store.submit(spec, START))
    lab.store.expire(START + timedelta(hours=1))
    (screening,) = read_screenings(lab.store, (("", job),))
    assert screening.reason == "it was cancelled before it was measured: its deadline passed"


def test_an_agent_that_died_with_a_cell_does_not_hold_the_night_up(lab: PlayedLab) -> None:
    lab.works = False
    waiting = lab.waiting()

    def claim_and_die(duration_s: float) -> None:
        if not lab.store.attempts():
            assert lab.store.claim("dead", "p1", lab.now, duration_s=24 * 3600) is not None
        waiting.pause(duration_s)
        assert lab.now - START < timedelta(days=2), "it waits for ever"

    asked = request("calm", most_hours=2.0)
    answer = carry_through(lab.store, asked, replace(waiting, pause=claim_and_die))
    assert set(outcomes(answer).values()) == {CellOutcome.NOT_MEASURED}


def test_cells_whose_phone_is_gone_for_good_do_not_hold_the_night_up(lab: PlayedLab) -> None:
    def lose_a_phone(result: CellResult) -> CellResult:
        lab.phones = ("p1",)
        lab.store.quarantine("p2", "it hung", lab.now)
        return result

    lab.tamper = lose_a_phone
    answer = carry_through(lab.store, request("calm", "still"), lab.waiting())
    assert lab.now - START < timedelta(hours=2)
    found = outcomes(answer)
    assert len(found) == 4
    assert list(found.values()).count(CellOutcome.NOT_MEASURED) >= 1


def test_a_lab_that_is_down_for_hours_keeps_its_jobs(lab: PlayedLab) -> None:
    waiting = lab.waiting()
    lab.works = False

    def come_back(duration_s: float) -> None:
        lab.works = lab.now - START > timedelta(hours=5)
        lab.store.expire(lab.now)  # as another host's agent does: these phones are absent now
        waiting.pause(duration_s)

    answer = carry_through(lab.store, request("calm"), replace(waiting, pause=come_back))
    assert answer.verdict.status is NightStatus.PASS
    assert not answer.verdict.of(CellOutcome.NOT_MEASURED)


def test_a_store_that_is_restarted_is_asked_again(
    lab: PlayedLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, cells = 0, lab.store.cells

    def now_and_then(job_id: str | None = None) -> Any:
        nonlocal asked
        asked += 1
        if asked < 4:
            message = "cannot use the lab's store: the server is starting up"
            raise StorageError(message)
        return cells(job_id)

    monkeypatch.setattr(lab.store, "cells", now_and_then)
    answer = carry_through(lab.store, request("calm"), lab.waiting())
    assert answer.verdict.status is NightStatus.PASS
    assert any("trying again" in line for line in lab.told)

    monkeypatch.setattr(lab.store, "cells", lambda _: (_ for _ in ()).throw(StorageError("gone")))
    with pytest.raises(StorageError, match="gone"):
        carry_through(lab.store, request("calm", name="other"), lab.waiting())


def test_phones_are_counted_when_the_night_begins(lab: PlayedLab) -> None:
    lab.store.quarantine("p2", "it hung", lab.now)
    answer = carry_through(lab.store, request("calm"), lab.waiting())
    assert set(outcomes(answer)) == {("calm", "p1")}


@pytest.mark.parametrize(
    "required",
    [
        Requirements(phone_count=3),
        Requirements(phone_count=0, soc="unheard of"),
        Requirements(phone_count=0, phone_ids=("p9",)),
    ],
)
def test_a_night_without_phones_is_refused_at_once(lab: PlayedLab, required: Requirements) -> None:
    with pytest.raises(DeviceError, match="cannot gate"):
        carry_through(lab.store, request("calm", requirements=required), lab.waiting())
    assert lab.store.jobs() == ()


def test_each_setting_is_a_job_in_which_each_model_has_its_base(lab: PlayedLab) -> None:
    pairs = tuple(
        Pair(new=new, base=base, digest=new)
        for new, base in (("a", "onnxruntime==1.20.0"), ("b", "onnxruntime==1.20.0"), ("c", "d"))
    )
    settings = {f"threads {n}": gate_section(rounds=24, threads=(n,)) for n in (1, 4)}
    asked = request(pairs=pairs, settings=settings)
    specs = screening_specs(asked)
    assert [(name, spec.models, spec.bench.threads) for name, spec in specs] == [
        ("threads 1", ("a", "b", "c"), (1,)),
        ("threads 4", ("a", "b", "c"), (4,)),
    ]
    for _, spec in specs:
        assert spec.bench_of("b").against == ("onnxruntime==1.20.0",)
        assert spec.bench_of("c").against == ("d",)
        assert (spec.bench.min_rounds, spec.bench.max_rounds) == (24, 24)
    assert len({spec.bench.seed for _, spec in specs}) == 2

    lab.effects = {"c": 0.06}
    answer = carry_through(lab.store, asked, lab.waiting())
    reruns = [lab.store.job(job_id).spec for job_id in answer.rerun_jobs]
    assert sum("c" in spec.models for spec in reruns) == 4  # two settings on two phones
    for spec in reruns:
        assert spec.bench_of("c").against == ("d",)
        assert len(spec.bases) == len(spec.models)


def test_settings_are_cells_of_their_own(lab: PlayedLab) -> None:
    settings = {f"threads {n}": gate_section(rounds=8, threads=(n,)) for n in (1, 4)}
    answer = carry_through(lab.store, request("calm", settings=settings), lab.waiting())
    assert {cell.screening.key.setting for cell in answer.verdict.cells} == set(settings)
    assert len(answer.verdict.cells) == 4


def test_too_few_rounds_are_refused() -> None:
    with pytest.raises(UsageError, match="8 or more"):
        gate_section(rounds=7)

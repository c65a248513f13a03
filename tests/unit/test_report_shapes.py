"""What the charts draw."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ortlab.domain import Block, Run
from ortlab.report import bars, shapes
from ortlab.report.frames import block_samples
from ortlab.report.svg import Texts, finish
from ortlab.report.view import arm_views, operator_rows, release_ranges
from report_samples import make_sample

COLOURS = ("a", "b", "c", "d")


@given(
    st.lists(st.floats(min_value=1e-3, max_value=1e3), max_size=8),
    st.floats(min_value=0.001, max_value=0.2),
)
def test_a_ratio_axis_holds_all_ratios_the_baseline_and_a_few_ticks(
    ratios: list[float], margin: float
) -> None:
    axis = shapes.ratio_axis(ratios, margin=margin)
    low, high = axis.domain
    for ratio in (*ratios, 1.0, 1 - margin, 1 + margin):
        assert low <= axis.place(ratio) <= high
    assert 2 <= len(axis.ticks) <= 25
    assert all(low <= tick <= high for tick in axis.ticks)
    assert 0.0 in axis.ticks
    assert len({axis.name(tick) for tick in axis.ticks}) == len(axis.ticks)


@given(st.floats(min_value=1e-6, max_value=1e6), st.floats(min_value=1.0, max_value=1e9))
def test_a_ratio_lies_within_its_axis_however_far_its_interval_reaches(
    ratio: float, spread: float
) -> None:
    bounds = (ratio / spread, ratio * spread)
    axis = shapes.ratio_axis(bounds, margin=0.02, points=(ratio,))
    assert axis.domain[0] < axis.measure(ratio) < axis.domain[1]
    assert 2 <= len(axis.ticks) <= 25
    assert len({axis.name(tick) for tick in axis.ticks}) == len(axis.ticks)


def test_an_interval_without_end_is_drawn_to_the_end_of_the_axis() -> None:
    axis = shapes.ratio_axis((0.0, 1.3, float("inf"), 1e300), margin=0.02)
    assert axis.place(float("inf")) == axis.place(1e300) == axis.domain[1]
    assert axis.place(0.0) == axis.domain[0]
    assert axis.domain[0] < axis.place(1.3) < axis.domain[1]
    assert shapes.effect_value(1.3, 0.0, float("inf")).endswith("[−100.0, +∞]")


def test_distributions_tell_the_quantiles_of_the_pooled_samples() -> None:
    run = make_sample(samples=200).run
    axis, found = shapes.distributions(run, block_samples(run))
    assert len(found) == 4
    for index, item in enumerate(found):
        arm_id = run.experiment.arms[index].arm_id
        pooled = np.concatenate(
            [
                b.result.timing.measured_ns
                for b in run.blocks
                if b.arm_id == arm_id and b.result and b.result.timing.measured_ns
            ]
        )
        assert item.sample_count == len(pooled)
        assert abs(item.quantiles[2] * axis.unit_ns / np.median(pooled) - 1) < 1e-9
        assert item.beyond == np.count_nonzero(pooled > axis.domain[1] * axis.unit_ns)
        assert max(height for _, height in item.ridge) == 1
    assert not axis.logarithmic


def test_arms_far_apart_get_a_logarithmic_axis() -> None:
    run = make_sample(rounds=4, samples=30).run

    def slowed(block: Block) -> Block:
        if block.arm_id != "fixed-amd64" or block.result is None:
            return block
        slow = tuple(value * 10 for value in block.result.timing.measured_ns)
        timing = replace(block.result.timing, measured_ns=slow)
        return replace(block, result=replace(block.result, timing=timing))

    wide = replace(run, blocks=tuple(slowed(block) for block in run.blocks))
    axis, found = shapes.distributions(wide, block_samples(wide))
    assert axis.logarithmic
    assert all(axis.domain[0] <= q <= axis.domain[1] for item in found for q in item.quantiles)


def test_strips_keep_the_measured_order_and_mark_what_was_disturbed() -> None:
    run = make_sample(samples=30).run
    found = shapes.strips(run, block_samples(run), COLOURS)
    assert [slot.name for slot in found.slots][:7] == ["1", "2", "3", "4", "5", "5′", "6"]
    assert [slot.name for slot in found.slots if slot.disturbed] == ["5"]
    assert "34 % of the CPU" in next(slot.tip for slot in found.slots if slot.disturbed)
    assert [slot.name for slot in found.slots if slot.resumed] == ["9"]
    assert [line.plain for line in found.lines] == [False] * 4 + [True]
    for line in found.lines:
        places = [x for x, _, _ in line.points]
        assert places == sorted(places)
        assert all(-1 <= height <= 1 for _, height, _ in line.points)
        assert all(0 <= x <= found.slot_count for x in places)


def test_no_temperature_no_strip() -> None:
    run = make_sample(samples=10, temperature=False).run
    assert not any(line.plain for line in shapes.strips(run, block_samples(run), COLOURS).lines)


def test_thousands_of_rounds_become_a_bounded_number_of_points() -> None:
    run = make_sample(rounds=2, samples=3).run
    latency = [b for b in run.blocks if b.result and b.result.timing.measured_ns]
    chance = random.Random(1)
    blocks = [
        replace(block, round_index=index, block_id=f"{index}-{block.arm_id}")
        for index in range(2_000)
        for block in chance.sample(latency, len(latency))
    ]
    many = Run(directory=run.directory, experiment=run.experiment, blocks=tuple(blocks))
    found = shapes.strips(many, block_samples(many), COLOURS)
    assert found.slot_count <= shapes.MOST_SLOTS
    assert all(len(line.points) <= 3 * shapes.MOST_SLOTS for line in found.lines)


def test_memory_bars_and_cold_start() -> None:
    sample = make_sample(rounds=2, samples=5)
    memory = bars.memory_bars(sample.run, sample.analysis, COLOURS)
    assert memory is not None
    assert memory.phases[:3] == ("baseline", "environment", "loaded")
    assert (memory.current_metric, memory.peak_metric) == ("VmRSS", "VmHWM")
    assert len(memory.current) == 4 * 7
    assert len(memory.peak) == 4
    labels = {arm.arm_id: (i, arm.label) for i, arm in enumerate(sample.run.experiment.arms)}
    parts = bars.cold_start_parts(sample.analysis, labels)
    assert [round(part.end_ms - part.start_ms, 2) for part in parts[:3]] == [61.0, 24.0, 4.16]
    assert parts[1].start_ms == parts[0].end_ms


def test_operators_that_differ_come_first() -> None:
    sample = make_sample(rounds=2, samples=5)
    rows = operator_rows(arm_views(sample.run, sample.analysis))
    assert [row.operator for row in rows[:2]] == ["FusedConv", "Conv"]
    assert [row.differs for row in rows] == [True, True, False, False, False, False]
    assert rows[0].counts == (24, 5, 24, 0)


def test_releases_that_agree_are_put_together() -> None:
    ranges = release_ranges(make_sample(rounds=2, samples=2).prepared)
    told = [r.releases for r in ranges if r.variant_id == "runtime-amd64"]
    assert told == ["1.5 – 1.12", "1.13 – 1.29", "1.30 – 1.31", "1.32"]


@given(st.text(st.characters(), max_size=60))
def test_foreign_text_reaches_the_drawing_only_as_text(name: str) -> None:
    texts = Texts()
    label, tip = texts.label(name), texts.tip(name, arm=3)
    assert all(character in "⟦⟧0123456789n" for character in label + tip)
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9" viewBox="0 0 9 9">'
        f'<script>1</script><g onclick="1"><text role="graphics-symbol" aria-label="{tip}">{label}'
        "</text></g></svg>"
    )
    finished = finish(drawing, texts, label=name, css_class="wide")
    assert "<script" not in finished
    assert "onclick" not in finished
    assert finished.count("<text") == finished.count("<title") == 1
    assert 'data-arm="3"' in finished

"""A job before it is handed in: where its paths start, and what is refused at once."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apk_writer import Writer, make_apk, manifest
from device_lab.jobs import spec_of
from device_lab.submitting import absolute, away, check, read_job
from device_lab.values import JobSpec, Requirements
from ortlab.config import BenchSection
from ortlab.errors import OrtlabError, UsageError

SPEC = JobSpec(name="night", models=("/nowhere/a",))


def bench(**changes: Any) -> JobSpec:
    return replace(SPEC, bench=replace(SPEC.bench, **changes))


def test_paths_start_from_the_files_directory_wherever_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jobs").mkdir()
    file = tmp_path / "jobs" / "night.toml"
    file.write_text(
        'name = "night"\nmodels = ["prepared/a", "/srv/b"]\n[bench]\n'
        'against = ["old/a", "onnxruntime==1.22.0"]\napp = ["bench.apk"]\n'
    )
    spec = read_job(file)
    assert spec.models == (str(tmp_path / "jobs/prepared/a"), "/srv/b")
    assert spec.bench.against == (str(tmp_path / "jobs/old/a"), "onnxruntime==1.22.0")
    assert spec.bench.apps == (str(tmp_path / "jobs/bench.apk"),)
    monkeypatch.chdir(tmp_path / "jobs")
    assert read_job(Path("night.toml")).digest == spec.digest
    assert away(spec) == (*spec.models, *spec.bench.apps, spec.bench.against[0])


def test_absolute_changes_nothing_twice(tmp_path: Path) -> None:
    once = absolute(bench(against=("old",), app="b.apk"), tmp_path)
    assert absolute(once, Path("/elsewhere")) == once


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"style": ("fast",)}, "style"),
        ({"ep": ("xnnpack:threads",)}, "threads"),
        ({"load": ("wishful",)}, "load"),
        ({"precision": ("fp7",)}, "precision"),
        ({"config": ("novalue",)}, "novalue"),
        ({"equivalence_margin": "much"}, "much"),
        ({"threads": (0,)}, "threads"),
        ({"threads": (10**9,)}, "threads"),
        ({"min_rounds": 1}, "min_rounds"),
        ({"min_rounds": 30, "max_rounds": 20}, "min_rounds"),
        ({"max_rounds": 10**9}, "max_rounds"),
        ({"block_s": 0.0}, "block_s"),
        ({"block_s": float("nan")}, "block_s"),
        ({"block_s": float("inf")}, "block_s"),
        ({"memory_blocks": -1}, "memory_blocks"),
        ({"cold_start_blocks": 10**9}, "cold_start_blocks"),
        ({"seed": -1}, "seed"),
        ({"by_hand": True}, "by_hand"),
    ],
)
def test_words_that_mean_nothing_are_refused_at_once(changes: dict[str, object], word: str) -> None:
    with pytest.raises(OrtlabError) as refused:
        check(bench(**changes), source="night.toml")
    assert refused.value.message.startswith("cannot use night.toml: ")
    assert word in refused.value.message


def test_a_job_of_a_million_cells_is_refused() -> None:
    spec = replace(
        SPEC,
        models=tuple(f"/m/{number}" for number in range(200)),
        requirements=Requirements(phone_count=10_000),
    )
    with pytest.raises(UsageError, match="2000000 cells"):
        check(spec, source="night.toml")


def test_what_is_on_this_machine_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(UsageError, match="cannot find a prepared model"):
        check(replace(SPEC, models=(str(tmp_path / "model.onnx"),)), source="night.toml")
    (tmp_path / "bench.apk").write_bytes(b"no app")
    with pytest.raises(OrtlabError, match=r"night\.toml"):
        check(bench(app=str(tmp_path / "bench.apk")), source="night.toml")


def test_two_apps_of_one_platform_are_no_choice(tmp_path: Path) -> None:
    apps = [make_apk(tmp_path / name, Writer().write(manifest())) for name in ("a.apk", "b.apk")]
    check(bench(app=str(apps[0])), source="night.toml")
    with pytest.raises(UsageError, match=r"both .*a\.apk and .*b\.apk are for android"):
        check(bench(app=tuple(map(str, apps))), source="night.toml")


def test_one_model_by_two_paths_is_told(tmp_path: Path) -> None:
    spec = absolute(replace(SPEC, models=("a", str(tmp_path / "a"))), tmp_path)
    with pytest.raises(UsageError, match="two of its paths are the same"):
        check(spec, source="night.toml")


TEXT = st.text(max_size=12)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
BENCH_KEYS = st.sampled_from([*BenchSection.__dataclass_fields__, "nonsense"])


@given(
    section=st.dictionaries(BENCH_KEYS, PLAIN, max_size=4),
    models=st.lists(TEXT, max_size=3),
    name=TEXT,
)
def test_any_content_is_a_job_or_an_error_of_ours(
    section: dict[str, object], models: list[str], name: str
) -> None:
    with contextlib.suppress(OrtlabError):
        spec = spec_of({"name": name, "models": models, "bench": section}, source="night.toml")
        spec = absolute(spec, Path("/nowhere/at/all"))
        check(spec, source="night.toml")
        assert all(Path(model).is_absolute() for model in spec.models)
        assert spec.digest == absolute(spec, Path("/elsewhere")).digest

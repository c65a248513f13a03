"""`ortlab.toml`: what `init` writes, `run` reads; nonsense is refused with its place."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.config import load_config, parse_config, starter_config
from ortlab.errors import UsageError

hostile_text = st.text(max_size=40)
dimension = st.one_of(st.integers(-1, 5000), hostile_text, st.none())


@given(
    model=hostile_text.filter(lambda text: "/" not in text and text not in ("", ".")),
    shapes=st.dictionaries(hostile_text, st.lists(dimension, max_size=4).map(tuple), max_size=3),
)
def test_a_starter_config_is_read_back(
    model: str, shapes: dict[str, tuple[int | str | None, ...]]
) -> None:
    config = parse_config(tomllib.loads(starter_config(Path(model), shapes)), source="starter")
    assert config.model.path == str(Path(model))
    assert config.bench.min_rounds == 8
    assert config.gate is None


@given(shape=st.lists(st.integers(1, 5000), min_size=1, max_size=4))
def test_suggested_shapes_can_be_uncommented(shape: list[int]) -> None:
    text = starter_config(Path("m.onnx"), {"x": (*shape, "N")})
    line = next(line for line in text.splitlines() if line.startswith('# "x"'))
    config = parse_config(tomllib.loads(text.replace(line, line[2:])), source="starter")
    assert config.model.input_shapes == {"x": (*shape, 1)}


@pytest.mark.parametrize(
    ("text", "apps"),
    [
        ("", ()),
        ('app = "android"', ("android",)),
        ('app = ["android", "Bench.ipa"]', ("android", "Bench.ipa")),
    ],
)
def test_one_app_or_one_a_platform_is_named(text: str, apps: tuple[str, ...]) -> None:
    plain = tomllib.loads(f'[model]\npath = "m"\n[bench]\n{text}\n')
    assert parse_config(plain, source="test").bench.apps == apps


def test_every_line_of_the_starter_can_be_uncommented() -> None:
    text = starter_config(Path("m.onnx"), {})
    lines = [line.removeprefix("# ") for line in text.splitlines()]
    keys = [line for line in lines if "=" in line.partition("#")[0] or line.startswith("[")]
    config = parse_config(tomllib.loads("\n".join(keys)), source="starter")
    assert config.app is not None
    assert (config.app.android, config.app.ios, config.app.team) == ("android", "ios", "A1B2C3D4E5")
    assert config.bench.apps == ("android", "ios")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[model]\npath = 1\n", "model.path"),
        ('[model]\npath = "m"\ncolour = 1\n', "model.colour"),
        ('[model]\npath = "m"\n[bench]\nthreads = ["two"]\n', "bench.threads.0"),
        ("[bench]\nthreads = [1]\n", "model"),
        ('[model]\npath = "m"\n[bench]\napp = [1]\n', "bench.app"),
        ("[model\n", "not TOML"),
    ],
)
def test_nonsense_is_refused_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "ortlab.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=place) as caught:
        load_config(path)
    assert str(path) in caught.value.message


def test_a_missing_file_names_the_next_command(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_config(tmp_path / "ortlab.toml")
    assert caught.value.next_step == "ortlab init MODEL.onnx"

"""Kinds in `ortlab.toml` are held against the model, and what is wrong is said with its place."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.domain import (
    ClassificationKind,
    ColorOrder,
    ImageKind,
    Layout,
    ModelSpec,
    ResizeRule,
    StateKind,
    TensorKind,
    TensorSpec,
)
from ortlab.errors import UsageError
from ortlab.scaffold.kinds import kinds_of

Shape = tuple[int | str | None, ...] | None


def tensor(name: str, shape: Shape, element_type: str = "float") -> TensorSpec:
    return TensorSpec(name=name, element_type=element_type, shape=shape)


def model(inputs: list[TensorSpec], outputs: list[TensorSpec]) -> ModelSpec:
    return ModelSpec(
        file_name="model.onnx",
        sha256="0" * 64,
        size_bytes=1,
        ir_version=8,
        opsets={"ai.onnx": 17},
        producer="",
        metadata={},
        inputs=tuple(inputs),
        outputs=tuple(outputs),
    )


MODEL = model(
    [
        tensor("x", (1, 3, 48, 192)),
        tensor("open", ("batch", 3, "rows", "columns")),
        tensor("last", (1, 30, 40, 3), "uint8"),
        tensor("gray", (None, 1, 28, 28), "float16"),
        tensor("h", (2, 1, 64)),
        tensor("open h", (2, "batch", 64)),
        tensor("text", (1,), "string"),
        tensor("anything", None),
    ],
    [
        tensor("scores", ("batch", 3)),
        tensor("old scores", (1, 3, 1, 1), "float16"),
        tensor("any scores", ("batch", "classes")),
        tensor("map", (1, 3, 20, 20)),
        tensor("h_next", (2, 1, 64)),
        tensor("open h_next", (2, "batch", 64)),
        tensor("small h", (2, 1, 32)),
        tensor("flat h", (2, 64)),
        tensor("whole h", (2, 1, 64), "int64"),
        tensor("text_next", (1,), "string"),
        tensor("unknown", None),
    ],
)


def parse(
    text: str, base: Path = Path("/nowhere"), spec: ModelSpec = MODEL
) -> dict[str, TensorKind]:
    return kinds_of(tomllib.loads(text).get("app", {}), spec, base)


def on(side: str, name: str, *lines: str) -> str:
    return "\n".join([f'[app.{side}."{name}"]', *lines])


def test_an_image_gets_what_the_model_says_and_defaults() -> None:
    assert parse(on("inputs", "x", 'kind = "image"')) == {"x": ImageKind()}
    assert parse(on("inputs", "last", 'kind = "image"')) == {
        "last": ImageKind(layout=Layout.NHWC, scale=1.0)
    }
    assert parse(on("inputs", "gray", 'kind = "image"')) == {
        "gray": ImageKind(color_order=ColorOrder.GRAY)
    }


def test_the_example_of_the_documentation_means_what_it_says() -> None:
    page = (Path(__file__).parents[2] / "docs/kinds.md").read_text(encoding="utf-8")
    example = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert example is not None
    spec = model(
        [tensor("x", (None, 3, "?", "?")), tensor("state_in", (1, 8))],
        [tensor("scores", (None, 2)), tensor("state_out", (1, 8))],
    )
    assert parse(example[1], spec=spec) == {
        "x": ImageKind(
            color_order=ColorOrder.BGR,
            mean=(0.5,),
            std=(0.5,),
            resize=ResizeRule.FIT_HEIGHT,
            padding=127.5,
            width=192,
            height=48,
            antialias=False,
        ),
        "scores": ClassificationKind(labels=("0", "180"), top_k=2),
        "state_out": StateKind(input_name="state_in"),
    }


def test_every_key_of_an_image_is_read() -> None:
    lines = (
        *('kind = "image"', 'layout = "nchw"', 'color_order = "bgr"', 'scale = "1/127.5"'),
        *("mean = [1, 0.5, 0.25]", 'std = [2, "1/2", 1]', 'resize = "crop"', "padding = 9"),
        *("width = 33", "height = 22", "antialias = false"),
    )
    assert parse(on("inputs", "open", *lines)) == {
        "open": ImageKind(
            layout=Layout.NCHW,
            color_order=ColorOrder.BGR,
            scale=1 / 127.5,
            mean=(1.0, 0.5, 0.25),
            std=(2.0, 0.5, 1.0),
            resize=ResizeRule.CROP,
            padding=9.0,
            width=33,
            height=22,
            antialias=False,
        )
    }


def test_labels_stand_inline_or_in_a_file(tmp_path: Path) -> None:
    wanted = ClassificationKind(labels=("cat", " ", "Ärger"), top_k=3, apply_softmax=True)
    inline = on(
        "outputs",
        "scores",
        *('kind = "classification"', 'labels = ["cat", " ", "Ärger"]', "apply_softmax = true"),
    )
    assert parse(inline) == {"scores": wanted}
    (tmp_path / "labels.txt").write_bytes("\ufeffcat\r\n \r\nÄrger\r\n".encode())
    for name in ("scores", "old scores", "any scores"):
        text = on(
            "outputs",
            name,
            *('kind = "classification"', 'labels = "labels.txt"', "apply_softmax = true"),
        )
        assert parse(text, tmp_path) == {name: wanted}


def test_a_state_is_tied_to_its_input() -> None:
    fixed = parse(on("outputs", "h_next", 'kind = "state"', 'input = "h"'))
    assert fixed == {"h_next": StateKind(input_name="h")}
    learned = parse(on("outputs", "h_next", 'kind = "state"', 'input = "open h"'))
    assert learned == {"h_next": StateKind(input_name="open h", shape=(2, 1, 64))}
    given = on("outputs", "open h_next", 'kind = "state"', 'input = "open h"', "shape = [2, 4, 64]")
    assert parse(given) == {"open h_next": StateKind(input_name="open h", shape=(2, 4, 64))}
    blind = on("outputs", "unknown", 'kind = "state"', 'input = "anything"', "shape = [5]")
    assert parse(blind) == {"unknown": StateKind(input_name="anything", shape=(5,))}


IMAGE = 'kind = "image"'
CLASSES = 'kind = "classification"'
STATE = 'kind = "state"'
REFUSED = {
    "no such tensor": (on("inputs", "xs", IMAGE), 'no such input; near are "x"'),
    "nothing near": (on("outputs", "zzz", IMAGE), 'no such output; known are "scores"'),
    "no kind": (on("inputs", "x", "width = 3"), "it has no kind"),
    "unknown kind": (on("inputs", "x", 'kind = "imag"'), 'no kind "imag"; near are "image"'),
    "kind of another type": (on("inputs", "x", "kind = 3"), "no kind 3; known are"),
    "image as output": (on("outputs", "map", IMAGE), "an image is a kind of inputs"),
    "state as input": (on("inputs", "h", STATE), "a state is a kind of outputs"),
    "unknown key": (on("inputs", "x", IMAGE, "means = 1"), 'no key "means"; near are "mean"'),
    "wrong type": (on("inputs", "text", IMAGE), "this input is string"),
    "wrong rank": (on("inputs", "h", IMAGE), "4 dimensions .*, this is 2 × 1 × 64"),
    "unknown rank": (on("inputs", "anything", IMAGE), "of unknown rank"),
    "wrong channels": (
        on("inputs", "x", IMAGE, 'color_order = "gray"'),
        "gray pictures have 1 channel, and dimension 1 of 1 × 3 × 48 × 192 is 3; layout is nchw",
    ),
    "wrong layout": (
        on("inputs", "x", IMAGE, 'layout = "nhwc"'),
        "rgb pictures have 3 channels, and dimension 3 of .* is 192; layout is nhwc",
    ),
    "unknown rule": (on("inputs", "x", IMAGE, 'resize = "fits"'), '"fits"; near are "fit"'),
    "open sizes": (on("inputs", "open", IMAGE), "leaves the height open .*: write height = …"),
    "another size": (on("inputs", "x", IMAGE, "width = 5"), "width = 5, and the model says 192"),
    "size zero": (on("inputs", "open", IMAGE, "height = 0"), "height is a whole number from 1 on"),
    "size true": (on("inputs", "open", IMAGE, "height = true"), "from 1 on, not true"),
    "two means": (on("inputs", "x", IMAGE, "mean = [1, 2]"), "mean takes 1 or 3 numbers"),
    "mean of gray": (on("inputs", "gray", IMAGE, "mean = [1, 2, 3]"), "mean takes 1 number,"),
    "std zero": (on("inputs", "x", IMAGE, "std = [1, 0, 1]"), "std is divided by"),
    "scale text": (on("inputs", "x", IMAGE, 'scale = "1/x"'), 'such as "1/255", not "1/x"'),
    "scale by zero": (on("inputs", "x", IMAGE, 'scale = "1/0"'), 'not "1/0"'),
    "scale infinite": (on("inputs", "x", IMAGE, "scale = inf"), "scale is a number"),
    "scale true": (on("inputs", "x", IMAGE, "scale = true"), "scale is a number"),
    "padding": (on("inputs", "x", IMAGE, "padding = 256"), "0 to 255, and 256 is not"),
    "antialias": (on("inputs", "x", IMAGE, 'antialias = "yes"'), 'true or false, not "yes"'),
    "no labels": (on("outputs", "scores", CLASSES), "labels is a list of names, or the path"),
    "empty labels": (on("outputs", "scores", CLASSES, "labels = []"), "there are no labels"),
    "labels of numbers": (on("outputs", "scores", CLASSES, "labels = [1]"), "list of names"),
    "no file": (on("outputs", "scores", CLASSES, 'labels = "l.txt"'), "l.txt: No such file"),
    "label count": (
        on("outputs", "scores", CLASSES, 'labels = ["a", "b"]'),
        "2 labels for 3 classes .is one of them a background class",
    ),
    "a map of scores": (
        on("outputs", "map", CLASSES, 'labels = ["a", "b", "c"]'),
        "one row, and this output is 1 × 3 × 20 × 20",
    ),
    "scores of whole numbers": (
        on("outputs", "whole h", CLASSES, 'labels = ["a"]'),
        "float or float16, and this output is int64",
    ),
    "top_k": (
        on("outputs", "scores", CLASSES, 'labels = ["a", "b", "c"]', "top_k = 0"),
        "top_k is a whole number from 1 on",
    ),
    "no input": (on("outputs", "h_next", STATE), "it has no input"),
    "unknown input": (on("outputs", "h_next", STATE, 'input = "hh"'), 'no input "hh"; near are'),
    "state type": (on("outputs", "whole h", STATE, 'input = "h"'), "is float, this output int64"),
    "state of text": (on("outputs", "text_next", STATE, 'input = "text"'), "strings have none"),
    "state shape": (
        on("outputs", "small h", STATE, 'input = "h"'),
        'keeps its shape, and input "h" is 2 × 1 × 64, this output 2 × 1 × 32',
    ),
    "state rank": (on("outputs", "flat h", STATE, 'input = "h"'), "keeps its shape"),
    "state open": (
        on("outputs", "open h_next", STATE, 'input = "open h"'),
        "sizes are open .*: write shape",
    ),
    "state unknown": (on("outputs", "unknown", STATE, 'input = "anything"'), "sizes are open"),
    "state of another shape": (
        on("outputs", "h_next", STATE, 'input = "h"', "shape = [2, 2, 64]"),
        r"keeps its shape, and .*, shape = \[2, 2, 64\]",
    ),
    "shape of words": (
        on("outputs", "h_next", STATE, 'input = "h"', 'shape = ["a"]'),
        "shape is a list of whole numbers",
    ),
    "one input twice": (
        on("outputs", "h_next", STATE, 'input = "h"')
        + "\n"
        + on("outputs", "open h_next", STATE, 'input = "h"'),
        'input "h" is already the state of output "h_next"',
    ),
    "image and state": (
        on("inputs", "x", IMAGE) + "\n" + on("outputs", "map", STATE, 'input = "x"'),
        "keeps its shape|is an image",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_meant_is_refused_with_its_place(case: str) -> None:
    text, reason = REFUSED[case]
    with pytest.raises(UsageError, match=reason) as caught:
        parse(text)
    assert re.match(r'cannot use \[app\.(inputs|outputs)\."[^"]+"\]: ', caught.value.message)


def test_an_image_that_is_a_state_is_refused() -> None:
    spec = model([tensor("x", (1, 3, 8, 8))], [tensor("y", (1, 3, 8, 8))])
    text = on("inputs", "x", IMAGE) + "\n" + on("outputs", "y", STATE, 'input = "x"')
    with pytest.raises(UsageError, match='input "x" is an image, it cannot be a state'):
        parse(text, spec=spec)


def test_a_labels_file_must_be_text(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(b"\xff\xfe")
    text = on("outputs", "scores", CLASSES, 'labels = "labels.txt"')
    with pytest.raises(UsageError, match="it is not UTF-8"):
        parse(text, tmp_path)
    (tmp_path / "labels.txt").write_bytes(b"\n")
    with pytest.raises(UsageError, match="there are no labels"):
        parse(text, tmp_path)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)
KEYS = st.sampled_from(
    ["layout", "scale", "mean", "std", "width", "padding", "labels", "top_k", "input", "shape"]
)


@given(
    kind=st.sampled_from(["image", "classification", "state"]),
    name=st.sampled_from(["x", "open", "scores", "h_next"]),
    table=st.dictionaries(KEYS, PLAIN, max_size=4),
)
def test_any_table_is_a_kind_or_a_usage_error(
    kind: str, name: str, table: dict[str, object]
) -> None:
    side = "inputs" if name in {"x", "open"} else "outputs"
    try:
        kinds = kinds_of({side: {name: {**table, "kind": kind}}}, MODEL, Path("/nowhere"))
    except UsageError:
        return
    assert list(kinds) == [name]

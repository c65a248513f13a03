"""What inspection says of files converted just now, against what ORT does with them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from ortlab.domain import Replay, ReplayAnswer
from ortlab.ort_releases import expected_replay, replay_settings
from ortlab.prepare.content import content_digest, semantic_difference
from ortlab.prepare.inspection import Inspection, inspect_file
from ortlab.wire import GraphOptimizationLevel as Level

DATA = Path(__file__).parents[1] / "data" / "ort_formats"
LEVELS = {
    Level.BASIC: ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    Level.ALL: ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
SHAPES = {
    "ch_ppocr_mobile_v2.0_cls_infer.onnx": (1, 3, 48, 192),
    "ch_PP-OCRv4_det_infer.onnx": (1, 3, 64, 64),
    "ch_PP-OCRv4_rec_infer.onnx": (1, 3, 48, 64),
    "model.onnx": (1, 2048),
}


@pytest.fixture(scope="module", autouse=True)
def _no_telemetry() -> None:
    ort.set_default_logger_severity(4)


def convert(model: Path, directory: Path, target: str = "amd64") -> dict[str, Path]:
    """Run ORT's own converter on a copy; return the files by style."""
    directory.mkdir(parents=True)
    shutil.copy(model, directory / "m.onnx")
    module = "onnxruntime.tools.convert_onnx_models_to_ort"
    command = [sys.executable, "-m", module, "--target_platform", target, str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return {"fixed": directory / "m.ort", "runtime": directory / "m.with_runtime_opt.ort"}


def session(
    path: Path, entries: dict[str, str], level: Level = Level.ALL, profile: Path | None = None
) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = LEVELS[level]
    options.intra_op_num_threads = 1
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def executed(path: Path, replay: Replay, directory: Path, shape: tuple[int, ...]) -> Counter[str]:
    """Operators that run, with the settings that ask for a replay."""
    level, entries = replay_settings(ort.__version__, replay, Level.ALL)
    opened = session(path, entries, level, directory / f"profile-{replay}")
    (given,) = opened.get_inputs()
    kind = np.int32 if given.type == "tensor(int32)" else np.float32
    opened.run(None, {given.name: np.ones(shape, kind)})
    events = json.loads(Path(opened.end_profiling()).read_text())
    return Counter(
        event["args"]["op_name"]
        for event in events
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")
    )


def verdict_here(inspection: Inspection) -> tuple[bool, ReplayAnswer]:
    release = ".".join(ort.__version__.split(".")[:2])
    (verdict,) = (each for each in inspection.releases if each.release == release)
    return verdict.loads, verdict.replay


def model_path(name: str, package_models: Callable[[str], Path]) -> Path:
    return DATA / name if (DATA / name).exists() else package_models(name)


MODELS = (
    "small.onnx",
    "small_qdq.onnx",
    *(pytest.param(name, marks=pytest.mark.requires("models")) for name in SHAPES),
)


def fixed_shape(shape: Sequence[int | str | None] | None) -> tuple[int, ...]:
    assert shape is not None
    sizes = [size for size in shape if isinstance(size, int)]
    assert len(sizes) == len(shape)
    return tuple(sizes)


@pytest.mark.parametrize("name", MODELS)
def test_inspection_foretells_what_runs(
    name: str, tmp_path: Path, package_models: Callable[[str], Path]
) -> None:
    source = model_path(name, package_models)
    shape = SHAPES.get(name) or fixed_shape(inspect_file(source).model.inputs[0].shape)
    files = convert(source, tmp_path / "converted", target="arm")
    for style, path in files.items():
        inspection = inspect_file(path)
        loads, replay = verdict_here(inspection)
        assert loads
        assert inspection.contradictions == ()
        by_replay = {
            each: executed(path, each, tmp_path, tuple(map(int, shape))) for each in Replay
        }
        stored = Counter(
            {key.partition(":")[2]: count for key, count in _by_operator(inspection).items()}
        )
        assert by_replay[Replay.OFF] == stored
        if replay is ReplayAnswer.NONE_SAVED:
            assert by_replay[Replay.ON] == by_replay[Replay.DEFAULT] == stored
        else:
            assert style == "runtime"
            assert replay is ReplayAnswer.WITH_KEY
            assert not expected_replay(ort.__version__, Replay.DEFAULT)
            assert by_replay[Replay.DEFAULT] == stored
            made = {
                operator.split(":")[-2]
                for record in inspection.saved_optimizations
                for operator in record.produced_operators
            }
            assert made & set(by_replay[Replay.ON] - stored)


def _by_operator(inspection: Inspection) -> Counter[str]:
    total: Counter[str] = Counter()
    for key, count in inspection.operator_counts.items():
        total[f":{key.partition(':')[2]}"] += count
    return total


@pytest.mark.parametrize("name", MODELS)
def test_two_conversions_have_one_content(
    name: str, tmp_path: Path, package_models: Callable[[str], Path]
) -> None:
    source = model_path(name, package_models)
    first, second = (convert(source, tmp_path / each) for each in ("first", "second"))
    for style, path in first.items():
        assert semantic_difference(path, second[style]) == ()
        assert content_digest(path) == content_digest(second[style])
    other = convert(source, tmp_path / "other", target="arm")
    changed = onnx.load(source)
    _weight_nudged(changed)
    onnx.save(changed, tmp_path / "changed.onnx")
    for style, path in convert(tmp_path / "changed.onnx", tmp_path / "changed").items():
        assert content_digest(path) != content_digest(first[style])
    assert len({content_digest(p) for p in (*first.values(), *other.values())}) >= 2


def _weight_nudged(model: onnx.ModelProto) -> None:
    """Add one to the last element of the largest weight, wherever it stands."""
    constants = [node.attribute[0].t for node in model.graph.node if node.op_type == "Constant"]
    tensor = max((*model.graph.initializer, *constants), key=lambda each: each.ByteSize())
    weights = numpy_helper.to_array(tensor).copy()
    weights.flat[-1] += 1
    tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))


# ------------------------------------------------------------------------- models built here


def _graph_model(
    nodes: list[onnx.NodeProto],
    *,
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    initializers: Sequence[onnx.TensorProto] = (),
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def branching() -> onnx.ModelProto:
    """If inside Loop, a symbolic dimension, bool and string values, a constant used inside."""
    value = helper.make_tensor_value_info
    weights = numpy_helper.from_array(np.arange(4, dtype=np.float32), "weights")

    def branch(name: str, operator: str) -> onnx.GraphProto:
        node = helper.make_node(operator, ["state", "weights"], [name])
        return helper.make_graph([node], name, [], [value(name, TensorProto.FLOAT, ["n", 4])])

    body = helper.make_graph(
        [
            helper.make_node(
                "If",
                ["flag"],
                ["next"],
                then_branch=branch("a", "Add"),
                else_branch=branch("b", "Mul"),
            ),
            helper.make_node("Identity", ["going"], ["still"]),
        ],
        "body",
        [
            value("i", TensorProto.INT64, []),
            value("going", TensorProto.BOOL, []),
            value("state", TensorProto.FLOAT, ["n", 4]),
        ],
        [value("still", TensorProto.BOOL, []), value("next", TensorProto.FLOAT, ["n", 4])],
    )
    return _graph_model(
        [
            helper.make_node("Loop", ["count", "", "x"], ["y"], body=body),
            helper.make_node("Identity", ["words"], ["same"]),
        ],
        inputs=[
            value("x", TensorProto.FLOAT, ["n", 4]),
            value("flag", TensorProto.BOOL, []),
            value("words", TensorProto.STRING, [2, None]),
            value("count", TensorProto.INT64, []),
        ],
        outputs=[
            value("y", TensorProto.FLOAT, ["n", 4]),
            value("same", TensorProto.STRING, [2, None]),
        ],
        initializers=[weights],
    )


def test_subgraphs_and_types_are_read_as_ort_does(tmp_path: Path) -> None:
    onnx.save(branching(), tmp_path / "branching.onnx")
    for path in convert(tmp_path / "branching.onnx", tmp_path / "converted").values():
        inspection = inspect_file(path)
        opened = session(path, {})
        for ours, theirs in zip(
            (*inspection.model.inputs, *inspection.model.outputs),
            (*opened.get_inputs(), *opened.get_outputs()),
            strict=True,
        ):
            assert (ours.name, f"tensor({ours.element_type})") == (theirs.name, theirs.type)
            assert ours.shape == tuple(theirs.shape)
        counts = inspection.operator_counts
        assert {"ai.onnx:Loop", "ai.onnx:If", "ai.onnx:Add", "ai.onnx:Mul"} <= set(counts)
        loop = next(n for n in inspection.nodes_by_provider["CPUExecutionProvider"] if "Loop" in n)
        assert loop == "ai.onnx:Loop"


def _weights_changed(model: onnx.ModelProto) -> None:
    new = numpy_helper.from_array(np.arange(1, 5, dtype=np.float32), "weights")
    model.graph.initializer[0].CopyFrom(new)


def _subgraph_changed(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute[0].g.node[0].attribute[0].g.node[0].op_type = "Sub"


def _edge_changed(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute[0].g.node[0].attribute[0].g.node[0].input[:] = [
        "weights",
        "state",
    ]


def _opset_changed(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 18


def _metadata_added(model: onnx.ModelProto) -> None:
    helper.set_model_props(model, {"made": "here"})


def test_every_change_reaches_the_digest_of_the_conversion(tmp_path: Path) -> None:
    changes = (
        lambda _model: None,
        _weights_changed,
        _subgraph_changed,
        _edge_changed,
        _opset_changed,
        _metadata_added,
    )
    digests: dict[str, set[str]] = {"fixed": set(), "runtime": set()}
    for at, change in enumerate(changes):
        model = branching()
        change(model)
        onnx.save(model, tmp_path / f"{at}.onnx")
        for style, path in convert(tmp_path / f"{at}.onnx", tmp_path / str(at)).items():
            digests[style].add(content_digest(path))
    assert {style: len(found) for style, found in digests.items()} == {
        "fixed": len(changes),
        "runtime": len(changes),
    }


# ------------------------------------------------------------------------- against ORT here


@pytest.mark.parametrize("path", sorted(DATA.glob("*.ort")), ids=lambda path: path.name)
def test_saved_files_load_and_replay_as_foretold(path: Path) -> None:
    inspection = inspect_file(path)
    loads, replay = verdict_here(inspection)
    assert loads
    session(path, {})
    _, entries = replay_settings(ort.__version__, Replay.ON, Level.ALL)
    if replay is not ReplayAnswer.FAILS:
        session(path, entries)
        return
    with pytest.raises(Exception, match="two nodes with same node name"):
        session(path, entries)
    level, entries = replay_settings(ort.__version__, Replay.OFF, Level.ALL)
    session(path, entries, level)


def _opset_in_file(data: bytes, opset: int) -> bytes:
    """Overwrite the opset of the default domain, which is 11 in these files."""
    found = [
        match.start()
        for match in re.finditer(re.escape((11).to_bytes(8, "little")), data)
        if match.start() % 8 == 0
    ]
    assert len(found) == 1
    return data[: found[0]] + opset.to_bytes(8, "little") + data[found[0] + 8 :]


@pytest.mark.parametrize("opset", [26, 28])
def test_an_ort_file_is_held_to_its_opset(tmp_path: Path, opset: int) -> None:
    path = tmp_path / "m.ort"
    path.write_bytes(_opset_in_file((DATA / "small.fixed.ort-1.31.1.ort").read_bytes(), opset))
    inspection = inspect_file(path)
    assert inspection.model.opsets["ai.onnx"] == opset
    if opset == 28:
        assert verdict_here(inspection) == (False, ReplayAnswer.NONE_SAVED)
        with pytest.raises(Exception, match="No Op registered"):
            session(path, {})


@pytest.mark.parametrize(
    ("ir_version", "opset", "domain", "version"),
    [
        (13, 26, "ai.onnx.ml", 5),
        (14, 26, "ai.onnx.ml", 5),
        (13, 27, "ai.onnx.ml", 5),
        (13, 26, "ai.onnx.ml", 6),
        (13, 26, "my.own", 99),
    ],
)
def test_onnx_limits_are_those_of_ort(
    tmp_path: Path, ir_version: int, opset: int, domain: str, version: int
) -> None:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Abs", ["x"], ["y"])],
        "g",
        [value("x", TensorProto.FLOAT, [2])],
        [value("y", TensorProto.FLOAT, [2])],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid(domain, version)]
    model = helper.make_model(graph, opset_imports=imports)
    model.ir_version = ir_version
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    loads, _ = verdict_here(inspect_file(path))
    if loads:
        session(path, {})
    else:
        with pytest.raises(Exception, match=r"(?i)opset|IR version"):
            session(path, {})


def test_reading_an_ort_file_imports_no_heavy_package() -> None:
    code = (
        "import sys; from pathlib import Path;"
        "from ortlab.prepare.inspection import inspect_file;"
        f"inspect_file(Path({str(DATA / 'small.fixed.ort-1.31.1.ort')!r}));"
        "print([n for n in ('onnx', 'onnxruntime', 'numpy', 'flatbuffers') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr

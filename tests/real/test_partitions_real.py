"""Predicted partitions of files as a phone loads them."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from small_models import branches, convert_with_ort, convolutions, light

from ortlab.domain import PartitionPrediction
from ortlab.errors import ModelError
from ortlab.prepare.partitions import predict_partitions


def by_provider(path: Path, stops: tuple[str, ...] = ()) -> dict[str, PartitionPrediction]:
    return {p.provider: p for p in predict_partitions(path, "v", stops)}


def figures(prediction: PartitionPrediction) -> tuple[int, int, int]:
    return (
        prediction.supported_node_count,
        prediction.node_count,
        prediction.partition_count,
    )


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("squeezenet")
    onnx.save(light("squeezenet"), directory / "m.onnx")
    convert_with_ort(directory / "m.onnx", directory)
    return directory


def test_fixed_style_splits_where_its_fused_operators_are(squeezenet: Path) -> None:
    found = by_provider(squeezenet / "m.ort")
    assert figures(found["nnapi"]) == (13, 39, 10)
    assert figures(found["coreml-neuralnetwork"]) == (13, 39, 10)
    assert figures(found["coreml-mlprogram"]) == (39, 39, 1)
    assert found["nnapi"].unsupported_operators == ("com.microsoft:FusedConv",)
    assert found["nnapi"].suitability == "NO"
    assert found["coreml-mlprogram"].suitability == "YES"


@pytest.mark.parametrize("name", ["m.with_runtime_opt.ort", "m.onnx"])
def test_runtime_style_and_onnx_stay_in_one_piece(squeezenet: Path, name: str) -> None:
    for prediction in predict_partitions(squeezenet / name, "v"):
        assert figures(prediction) == (65, 65, 1)
        assert prediction.suitability == "YES"
        assert prediction.stop_operators == ()


def test_a_stop_operator_ends_nnapi_there_and_nothing_else(squeezenet: Path) -> None:
    whole = by_provider(squeezenet / "m.with_runtime_opt.ort")
    stopped = by_provider(squeezenet / "m.with_runtime_opt.ort", ("Concat",))
    assert 0 < stopped["nnapi"].supported_node_count < 65
    assert stopped["nnapi"].node_count == 65
    assert stopped["nnapi"].stop_operators == ("Concat",)
    assert stopped["nnapi"].unsupported_operators == ()
    for provider in ("coreml-neuralnetwork", "coreml-mlprogram"):
        assert stopped[provider] == whole[provider]


def relus(*operators: str) -> onnx.ModelProto:
    """A chain; each operator takes the one before."""
    nodes = [
        helper.make_node(operator, [f"t{i}"], [f"t{i + 1}"]) for i, operator in enumerate(operators)
    ]
    x = helper.make_tensor_value_info("t0", TensorProto.FLOAT, [1, 4])
    y = helper.make_tensor_value_info(f"t{len(operators)}", TensorProto.FLOAT, [1, 4])
    graph = helper.make_graph(nodes, "chain", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_everything_after_a_stop_operator_is_excluded(tmp_path: Path) -> None:
    onnx.save(relus("Sin", "Abs", "Exp", "Sin", "Abs"), tmp_path / "m.onnx")
    found = by_provider(tmp_path / "m.onnx", ("Exp",))
    assert figures(found["nnapi"]) == (2, 5, 1)
    found = by_provider(tmp_path / "m.onnx", ("Sin",))
    assert figures(found["nnapi"]) == (0, 5, 0)
    found = by_provider(tmp_path / "m.onnx")
    assert figures(found["nnapi"]) == (5, 5, 1)


def test_orts_default_stop_operator_applies_unless_others_are_given(tmp_path: Path) -> None:
    boxes = helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, 6, 4])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 1, 6])
    chosen = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])
    nodes = [
        helper.make_node("Abs", ["scores"], ["s"]),
        helper.make_node("NonMaxSuppression", ["boxes", "s"], ["i"]),
        helper.make_node("Cast", ["i"], ["y"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(nodes, "nms", [boxes, scores], [chosen])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "m.onnx")
    assert by_provider(tmp_path / "m.onnx")["nnapi"].stop_operators == ("NonMaxSuppression",)
    assert by_provider(tmp_path / "m.onnx", ("Exp",))["nnapi"].stop_operators == ("Exp",)


def test_unknown_sizes_are_not_supported_as_they_are(tmp_path: Path) -> None:
    model = convolutions()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(model, tmp_path / "m.onnx")
    assert by_provider(tmp_path / "m.onnx")["nnapi"].supported_node_count == 0


def test_omitted_inputs_do_not_count_as_unknown_sizes(tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 8, 8])
    nodes = [
        helper.make_node("Resize", ["x", "", "scales"], ["r"], mode="linear"),
        helper.make_node("Transpose", ["r"], ["t"]),
        helper.make_node("Transpose", ["t"], ["u"], perm=[3, 2, 1, 0]),
        helper.make_node("Sin", ["u"], ["y"]),
    ]
    scales = helper.make_tensor("scales", TensorProto.FLOAT, [4], [1, 1, 2, 2])
    graph = helper.make_graph(nodes, "resize", [x], [y], [scales])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "m.onnx")
    found = by_provider(tmp_path / "m.onnx")["nnapi"]
    assert found.supported_node_count == found.node_count


def test_subgraphs_do_not_count(tmp_path: Path) -> None:
    onnx.save(branches(), tmp_path / "m.onnx")
    found = by_provider(tmp_path / "m.onnx")["nnapi"]
    assert figures(found) == (0, 1, 0)
    assert found.unsupported_operators == ("ai.onnx:If",)


def test_a_graph_without_nodes_has_no_partitions(tmp_path: Path) -> None:
    onnx.save(relus("Identity"), tmp_path / "m.onnx")
    found = by_provider(tmp_path / "m.onnx")["nnapi"]
    assert found.partition_count <= 1
    assert found.suitability in {"YES", "NO"}


@pytest.mark.parametrize("name", ["bad.onnx", "bad.ort"])
def test_a_damaged_file_is_a_model_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x00" * 100)
    with pytest.raises(ModelError, match="bad"):
        predict_partitions(tmp_path / name, "v")

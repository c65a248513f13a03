"""A small convolution model, built here, for the scripts that measure the real thing.

Layers of one size in a row, each followed by ReLU. One more layer whose kernel is the identity
leaves every output as it was and adds its share of the work: a planted slowdown.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ortlab.bench import ArmOptions, PlanOptions, cross_arms, plan_experiment
from ortlab.domain import (
    Arm,
    BlockCounts,
    Device,
    Experiment,
    OptimizationStyle,
    PreparedModel,
    TargetPlatform,
)
from ortlab.prepare import PrepareOptions, prepare_models

LAYERS = 20
CHANNELS = 16
SIZE = 32
COUNTS = BlockCounts(parity=1, profile=1, memory=0, cold_start=0)


def save_model(path: Path, *, layers: int = LAYERS, extra_layers: int = 0, seed: int = 7) -> None:
    """Write the model, with as many identity layers in its middle."""
    generator = np.random.default_rng(seed)
    scale = (2 / (CHANNELS * 9)) ** 0.5
    kernels = [
        generator.normal(0, scale, (CHANNELS, CHANNELS, 3, 3)).astype(np.float32)
        for _ in range(layers)
    ]
    identity = np.zeros((CHANNELS, CHANNELS, 3, 3), np.float32)
    identity[range(CHANNELS), range(CHANNELS), 1, 1] = 1
    kernels[layers // 2 : layers // 2] = [identity] * extra_layers
    nodes, initializers, name = [], [], "x"
    for index, kernel in enumerate(kernels):
        initializers.append(numpy_helper.from_array(kernel, f"w{index}"))
        convolved = f"c{index}"
        rectified = "y" if index == len(kernels) - 1 else f"r{index}"
        nodes.append(helper.make_node("Conv", [name, f"w{index}"], [convolved], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [convolved], [rectified]))
        name = rectified
    shape = [1, CHANNELS, SIZE, SIZE]
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)


def prepare_model(directory: Path) -> tuple[PreparedModel, Path]:
    """Write and prepare the model."""
    source = directory / "convolutions.onnx"
    save_model(source)
    options = PrepareOptions(
        styles=(OptimizationStyle.ONNX,),
        targets=(TargetPlatform.AMD64,),
        configs=False,
        predictions=False,
    )
    (result,) = prepare_models([source], directory / "prepared", options).results
    if result.prepared is None or result.directory is None:
        raise result.error or AssertionError
    return result.prepared, result.directory


def plain_arm(prepared: PreparedModel, directory: Path, device: Device) -> Arm:
    """Return the arm of the `.onnx` file on one thread."""
    options = ArmOptions(styles=(OptimizationStyle.ONNX,), threads=(1,))
    (arm,) = cross_arms(prepared, directory, options, device)
    return replace(arm, arm_id="base", label="base")


def slower_arm(arm: Arm, directory: Path, *, extra_layers: int = 1) -> Arm:
    """Return an arm of the same model with more layers."""
    path = directory / "slower.onnx"
    save_model(path, extra_layers=extra_layers)
    data = path.read_bytes()
    return replace(
        arm,
        arm_id="slower",
        label="slower",
        variant_id="slower",
        model_path=str(path),
        model_sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        operator_counts={
            "ai.onnx:Conv": LAYERS + extra_layers,
            "ai.onnx:Relu": LAYERS + extra_layers,
        },
    )


def plan(
    arms: tuple[Arm, ...],
    prepared: PreparedModel,
    directory: Path,
    device: Device,
    options: PlanOptions,
) -> Experiment:
    """Plan an experiment with one parity and one profile block an arm beside its rounds."""
    return plan_experiment(arms, prepared, directory, device.info, replace(options, counts=COUNTS))

"""What is prepared: variants of a model, and what was proven of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ortlab.wire import GraphOptimizationLevel, TensorFile


class OptimizationStyle(StrEnum):
    """How a variant's graph was optimized before it was saved."""

    ONNX = "onnx"
    FIXED = "fixed"
    RUNTIME = "runtime"


class TargetPlatform(StrEnum):
    """The CPU family an `.ort` file was optimized for."""

    ARM = "arm"
    AMD64 = "amd64"


class Precision(StrEnum):
    """Number formats of a variant's weights and arithmetic."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8_DYNAMIC = "int8-dynamic"
    INT8_STATIC = "int8-static"
    INT4 = "int4"


class Replay(StrEnum):
    """Whether saved runtime optimizations are applied when a Runtime-style model is loaded."""

    ON = "on"
    OFF = "off"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """A model input or output.

    Attributes:
        name: ONNX value name; may hold any characters.
        element_type: ONNX element type in lower case (``float``, ``int64``, ``string`` …).
        shape: Each dimension a number, a symbol, or None for an unnamed unknown; None when the
            rank itself is unknown.
    """

    name: str
    element_type: str
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """What a model file says of itself.

    Attributes:
        file_name: Without its directory.
        sha256: Of the file; external data is hashed into it.
        size_bytes: Of the file and its external data.
        ir_version: ONNX IR version.
        opsets: Domain to version; the default domain is ``ai.onnx``.
        producer: Name and version of the producer.
        metadata: Metadata properties.
        inputs: In order, without initializers.
        outputs: In order.
    """

    file_name: str
    sha256: str
    size_bytes: int
    ir_version: int
    opsets: Mapping[str, int]
    producer: str
    metadata: Mapping[str, str]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class ParityStatus(StrEnum):
    """Whether a variant's outputs were compared, and how it ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """A variant's outputs against the reference.

    Attributes:
        status: How the comparison ended; FAILED variants are never timed.
        reference: ``original`` (the given model on CPU) or the name of the reference file.
        rule: The tolerance or threshold in words, such as ``rtol=1e-3, atol=1e-5``.
        reason: In a sentence, why it failed or was not checked; empty when passed.
        worst_output: Output with the largest violation of its tolerance.
        worst_index: Element in it.
        max_abs_error: Largest absolute difference over all outputs.
        max_rel_error: Largest relative difference over all outputs.
        sqnr_db: Signal to quantization noise ratio, for int8 and int4.
        top1_agreement: Share of rows with the same largest element, 0 to 1, likewise.
        allowed: Whether the user accepted a failure (``--allow-parity-failure``).
    """

    status: ParityStatus
    reference: str = "original"
    rule: str = ""
    reason: str = ""
    worst_output: str | None = None
    worst_index: tuple[int, ...] | None = None
    max_abs_error: float | None = None
    max_rel_error: float | None = None
    sqnr_db: float | None = None
    top1_agreement: float | None = None
    allowed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One prepared file.

    Attributes:
        variant_id: Such as ``onnx``, ``fixed-arm``, ``runtime-amd64``, ``onnx-fp16``,
            ``fixed-arm-int8-static``.
        style: How its graph was optimized.
        level: Graph optimization level it was saved with.
        target: CPU family it was optimized for; None for ``.onnx``.
        precision: Of weights and arithmetic.
        path: Relative to the prepared directory.
        sha256: Of the file (external data included).
        content_digest: Of what a parser reads; equal for two conversions of one model.
        size_bytes: Of the file (external data included).
        operator_counts: ``domain:Operator`` to nodes, subgraphs included.
        initializer_bytes: Element type to bytes of initializers.
        saved_optimizations: Optimizer to number of saved records.
        parity: Outputs against the reference.
        notes: What a user should know, in sentences.
    """

    variant_id: str
    style: OptimizationStyle
    level: GraphOptimizationLevel
    target: TargetPlatform | None
    precision: Precision
    path: str
    sha256: str
    content_digest: str
    size_bytes: int
    operator_counts: Mapping[str, int]
    initializer_bytes: Mapping[str, int]
    saved_optimizations: Mapping[str, int]
    parity: Parity
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedVariant:
    """A variant that was asked for and could not be made, or was not accepted."""

    variant_id: str
    reason: str


class ReplayAnswer(StrEnum):
    """Whether a release applies the saved optimizations of a file."""

    NONE_SAVED = "none saved"
    BY_DEFAULT = "by default"
    WITH_KEY = "with key"
    IGNORED = "ignored"
    FAILS = "fails"
    NOT_LOADED = "not loaded"


class Basis(StrEnum):
    """Where an answer about a release comes from."""

    MEASURED = "measured"
    EXPECTED = "expected"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseVerdict:
    """What one ORT release makes of a file.

    Attributes:
        release: Such as ``1.13`` (``1.31`` and later ones as far as the table knows them).
        loads: Whether a session can be created with default options.
        replay: Whether saved runtime optimizations are applied.
        reason: Why not, in a sentence; empty when it loads and replays or has none to replay.
        basis: Measured, or expected for releases after the measured ones.
    """

    release: str
    loads: bool
    replay: ReplayAnswer
    reason: str
    basis: Basis


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionPrediction:
    """How an execution provider would split a model.

    Attributes:
        provider: ``nnapi``, ``coreml-neuralnetwork`` or ``coreml-mlprogram``.
        variant_id: Of the variant analysed.
        node_count: Nodes in the main graph.
        supported_node_count: Of these, supported by the provider.
        partition_count: Pieces the provider would get.
        unsupported_operators: Operators it does not take.
        stop_operators: Partitioning stop operators that were applied.
        suitability: The wheel's own word.
    """

    provider: str
    variant_id: str
    node_count: int
    supported_node_count: int
    partition_count: int
    unsupported_operators: tuple[str, ...]
    stop_operators: tuple[str, ...]
    suitability: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One set of inputs with the reference outputs.

    Attributes:
        sample_id: Directory name in the prepared directory.
        origin: ``seeded``, or the name of the user's file.
        inputs: One tensor per model input; paths relative to the prepared directory.
        outputs: Reference outputs; empty when the model refuses the inputs.
        notes: Sizes that were chosen for unknown dimensions, in sentences.
    """

    sample_id: str
    origin: str
    inputs: tuple[TensorFile, ...]
    outputs: tuple[TensorFile, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorConfig:
    """An operator config for a reduced ORT build.

    Attributes:
        style: Style whose operators it covers.
        type_reduction: Whether it also lists element types.
        path: Relative to the prepared directory.
        extended_minimal_build: Whether a minimal build that uses it must be ``extended``.
    """

    style: OptimizationStyle
    type_reduction: bool
    path: str
    extended_minimal_build: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRecipe:
    """Settings and the exact command for a custom ORT package.

    Attributes:
        platform: ``android`` or ``apple``.
        settings_path: Build settings file, relative to the prepared directory.
        command: To run inside an onnxruntime source checkout, as arguments.
        note: What it needs and what it gives.
    """

    platform: str
    settings_path: str
    command: tuple[str, ...]
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What made a prepared model."""

    ortlab_version: str
    ort_version: str
    onnx_version: str
    python_version: str
    machine: str
    created_at: str
    cache_key: str
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedModel:
    """A model with its variants and proofs, as `manifest.json` records it.

    Attributes:
        name: Directory-safe name.
        original: The user's file, which is never written to.
        findings: What ``onnx.checker`` said, in plain words.
        repairs: What was repaired, in sentences.
        variants: Accepted ones, in order.
        refused: Variants asked for and not made, with the reason.
        samples: Inputs with reference outputs.
        configs: Operator configs for reduced builds.
        recipes: Settings and commands for custom packages.
        compatibility: Variant id to releases, oldest first.
        predictions: Partitions by execution provider.
        custom_op_library: Path given by the user, or None.
        provenance: What made it.
        schema_version: Of the manifest.
    """

    name: str
    original: ModelSpec
    findings: tuple[str, ...]
    repairs: tuple[str, ...]
    variants: tuple[Variant, ...]
    refused: tuple[RefusedVariant, ...]
    samples: tuple[Sample, ...]
    configs: tuple[OperatorConfig, ...]
    recipes: tuple[BuildRecipe, ...]
    compatibility: Mapping[str, tuple[ReleaseVerdict, ...]]
    predictions: tuple[PartitionPrediction, ...]
    custom_op_library: str | None
    provenance: Provenance
    schema_version: int = 1

    def variant(self, variant_id: str) -> Variant:
        """Return a variant by id.

        Raises:
            KeyError: There is none.
        """
        for variant in self.variants:
            if variant.variant_id == variant_id:
                return variant
        raise KeyError(variant_id)

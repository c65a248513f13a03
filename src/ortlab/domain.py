"""The frozen values that flow between stages, and the Device protocol.

An **arm** is a configuration; a **block** is one fresh process of one arm and the statistical
unit; a **round** is one block of each arm in balanced random order; an **experiment** is the
rounds on one device; a **run** is an experiment with the blocks recorded so far.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from ortlab.wire import (
    BlockRequest,
    BlockResult,
    Conditions,
    Death,
    ExecutionMode,
    GraphOptimizationLevel,
    LoadMode,
    ProviderRequest,
    Purpose,
    StopRule,
    TensorFile,
    WarmUpRule,
)

# ------------------------------------------------------------------------------ models


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


# ------------------------------------------------------------------------------ apps


class Layout(StrEnum):
    """Order of an image tensor's dimensions; the batch dimension is 1."""

    NCHW = "nchw"
    NHWC = "nhwc"


class ColorOrder(StrEnum):
    """Which colours an image tensor's channels are."""

    RGB = "rgb"
    BGR = "bgr"
    GRAY = "gray"


class ResizeRule(StrEnum):
    """How a picture of any size becomes one of the tensor's; source: `docs/kinds.md`.

    ``STRETCH`` ignores the aspect ratio; ``FIT`` keeps it and fills the rest with the padding
    colour, centred; ``FIT_TOP_LEFT`` likewise, at the top left; ``FIT_HEIGHT`` fills the height,
    keeps the aspect ratio as far as the width allows and starts at the left, as text readers want
    it; ``CROP`` keeps it, fills the tensor and cuts off what sticks out, centred.
    """

    STRETCH = "stretch"
    FIT = "fit"
    FIT_TOP_LEFT = "fit-top-left"
    FIT_HEIGHT = "fit-height"
    CROP = "crop"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageKind:
    """An input that is a picture.

    Attributes:
        layout: Order of dimensions.
        color_order: Of the channels.
        scale: A channel of 0 to 255 is multiplied by it first; 1/255 gives 0 to 1.
        mean: Subtracted from each channel after scaling, in the tensor's order.
        std: Divided by afterwards.
        resize: How the picture becomes as large as the tensor.
        padding: Channel value of 0 to 255 that the ``FIT`` rules fill with.
        width: Of the tensor where the model leaves it open, else None.
        height: Likewise.
        antialias: Whether shrinking averages over all it covers (Pillow, torchvision) or takes
            the two nearest samples a side (OpenCV's linear).
    """

    layout: Layout = Layout.NCHW
    color_order: ColorOrder = ColorOrder.RGB
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    resize: ResizeRule = ResizeRule.STRETCH
    padding: float = 0.0
    width: int | None = None
    height: int | None = None
    antialias: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationKind:
    """An output that scores classes.

    Attributes:
        labels: One a class, in order.
        top_k: How many are answered, best first.
        apply_softmax: Whether the output holds logits that softmax makes into confidences.
    """

    labels: tuple[str, ...]
    top_k: int = 5
    apply_softmax: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StateKind:
    """An output that is the next call's input.

    Attributes:
        input_name: That input; the SDK keeps its value and starts with zeros.
        shape: Of the state where the model leaves dimensions open, else None.
    """

    input_name: str
    shape: tuple[int, ...] | None = None


TensorKind = ImageKind | ClassificationKind | StateKind


class ShippedStyles(StrEnum):
    """Which variants an app carries."""

    FIXED = "fixed"
    RUNTIME = "runtime"
    BOTH = "both"


class AppPlatform(StrEnum):
    """What a project is generated for."""

    ANDROID = "android"
    IOS = "ios"
    WEB = "web"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSpec:
    """What a user says of the app to generate.

    Attributes:
        name: As people see it; any characters.
        application_id: Reverse domain name, such as ``com.example.reader``.
        version_name: As people see it.
        version_code: Rises with every release.
        ship: Variants to carry.
        kinds: By the name of an input or output; others stay raw tensors.
        ort_package: For the app, an ORT release or the path of a package of the user's: an AAR
            on Android; a podspec or an XCFramework on iOS. None for the template's own.
        ort_checksum: SHA-256 of the archive of that release, which Swift packages ask for.
        custom_op_libraries: Libraries with the model's own operators: on Android, ABI to shared
            library; on iOS, ``ios`` to an XCFramework.
        team_id: Of the Apple developer team that signs; empty where Xcode is to ask.
    """

    name: str
    application_id: str
    version_name: str = "1.0"
    version_code: int = 1
    ship: ShippedStyles = ShippedStyles.BOTH
    kinds: Mapping[str, TensorKind] = field(default_factory=dict)
    ort_package: str | None = None
    ort_checksum: str | None = None
    custom_op_libraries: Mapping[str, str] = field(default_factory=dict)
    team_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedApp:
    """A project that was written.

    Attributes:
        platform: What it is for.
        directory: Its root, absolute.
        spec: What it was made from.
        written: Files that are new or changed, relative, sorted.
        kept: Files the user had changed and that were left alone, relative, sorted.
        notes: What a user should know, in sentences.
    """

    platform: AppPlatform
    directory: Path
    spec: AppSpec
    written: tuple[str, ...]
    kept: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltApp:
    """An app that can be installed.

    Attributes:
        platform: What it is for.
        files: The APK with its splits, or the `.ipa` or `.app`; absolute, the base first.
        sha256: Over the files, in order.
        application_id: As the package says.
        version_code: As the package says.
        version_name: As the package says.
        abis: Of its native libraries, sorted; empty when it has none.
        debuggable: As the package says.
        size_by_part: Stored bytes of ``code``, ``native``, ``models``, ``resources``, ``other``.
        minimum_api_level: Least API level it installs on, or None where there is none.
        minimum_os: Least version of iOS it installs on; empty on other platforms.
        signed: Whether a signature is there, of whatever identity.
        executable: Name of the program in an app bundle; empty on other platforms.
    """

    platform: AppPlatform
    files: tuple[Path, ...]
    sha256: str
    application_id: str
    version_code: int
    version_name: str
    abis: tuple[str, ...]
    debuggable: bool
    size_by_part: Mapping[str, int]
    minimum_api_level: int | None = None
    minimum_os: str = ""
    signed: bool = True
    executable: str = ""


# ------------------------------------------------------------------------------ devices


class DeviceKind(StrEnum):
    """Platform of a device."""

    HOST = "host"
    ANDROID = "android"
    IOS = "ios"
    WEB = "web"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceInfo:
    """A device as it describes itself.

    Attributes:
        device_id: ``host``, an adb serial, a UDID, ``virtual:android`` …
        kind: Platform.
        name: For people.
        os_version: Name and version of the system.
        architecture: Such as ``x86_64``, ``arm64-v8a``.
        cpu: Model name and core count, in words.
        memory_bytes: Of the machine.
        ort_version: Of the runtime that blocks use, when the arm does not bring its own.
        available_providers: As that runtime answers.
        virtual: Whether it is a virtual device; its results support no verdict on phones.
        emulator: Whether it is an emulator.
    """

    device_id: str
    kind: DeviceKind
    name: str
    os_version: str
    architecture: str
    cpu: str
    memory_bytes: int
    ort_version: str
    available_providers: tuple[str, ...]
    virtual: bool = False
    emulator: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedDevice:
    """A device that is there, ready or not.

    Attributes:
        device_id: What ``--device`` takes.
        kind: Platform.
        name: For people.
        ready: Whether blocks can be run on it.
        detail: What was seen, in words.
        next_step: What to do or to press; empty when nothing needs doing.
        info: How it describes itself; None where that needs an app.
    """

    device_id: str
    kind: DeviceKind
    name: str
    ready: bool
    detail: str
    next_step: str = ""
    info: DeviceInfo | None = None


class Device(Protocol):
    """Something that runs blocks; adapters are the host, Android, iOS, web and virtual ones."""

    @property
    def info(self) -> DeviceInfo:
        """The device as it describes itself."""
        ...

    def runtime_of(self, arm: Arm) -> tuple[str, tuple[str, ...]]:
        """Return the ORT version and the available providers that ``arm`` will run with.

        Raises:
            DeviceError: The arm's runtime cannot be started here.
        """
        ...

    def conditions(self) -> Conditions:
        """Read the machine's state now."""
        ...

    def run_block(self, request: BlockRequest, arm: Arm) -> BlockResult | Death:
        """Run one block in a fresh process; never longer than ``request.deadline_s`` and a bit.

        Paths in ``request`` are the driver's; the adapter moves files to the device and back,
        so that the result's paths are the driver's too.

        Raises:
            DeviceError: The device was lost or cannot run blocks at all.
        """
        ...

    def close(self) -> None:
        """Restore what was changed and let go of the device; safe to call twice."""
        ...


# ------------------------------------------------------------------------------ experiment


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One configuration: variant × runtime × providers × threads × load mode × replay × options.

    Attributes:
        arm_id: Short, unique in the experiment, safe as a file name.
        label: For people.
        style: Of the variant, for grouping.
        variant_id: Of the prepared model.
        model_path: Absolute path of the variant's file.
        model_sha256: Of that file.
        prepared_sha256: Content identity of the manifest it came from.
        providers: In order, CPU last.
        intra_op_num_threads: None leaves ORT's default.
        load_mode: How the runtime gets the model.
        replay: Meaningful for Runtime style; DEFAULT leaves the runtime's own default.
        graph_optimization_level: Asked for; replay may lower it.
        execution_mode: Sequential or parallel.
        config_entries: Session config entries of the user's.
        runtime: ORT version or app build that runs it; None is the device's own. On the host,
            the path of a Python interpreter whose onnxruntime is used.
        custom_op_library: Shared library to register, or None.
        saved_optimization_count: Records in the file, to prove replay against.
        parity_tolerance: ``rtol`` and ``atol`` a device's outputs are held to, or None when
            parity was not checked at preparation or goes by ``min_sqnr_db``.
        min_sqnr_db: Least SQNR a device's outputs are held to, for int8 and int4.
        operator_counts: ``domain:Operator`` to nodes in the file, to prove replay against.
        reference: Outputs the arm is held to, with absolute paths, when they are not those of the
            experiment's sample: another model's, from another prepared directory.
    """

    arm_id: str
    label: str
    style: OptimizationStyle
    variant_id: str
    model_path: str
    model_sha256: str
    prepared_sha256: str
    providers: tuple[ProviderRequest, ...]
    intra_op_num_threads: int | None = None
    load_mode: LoadMode = LoadMode.PATH
    replay: Replay = Replay.DEFAULT
    graph_optimization_level: GraphOptimizationLevel = GraphOptimizationLevel.ALL
    execution_mode: ExecutionMode = ExecutionMode.SEQUENTIAL
    config_entries: Mapping[str, str] = field(default_factory=dict)
    runtime: str | None = None
    custom_op_library: str | None = None
    saved_optimization_count: int = 0
    parity_tolerance: tuple[float, float] | None = (1e-3, 1e-5)
    precision: Precision = Precision.FP32
    target: TargetPlatform | None = None
    size_bytes: int = 0
    min_sqnr_db: float | None = None
    operator_counts: Mapping[str, int] = field(default_factory=dict)
    reference: tuple[TensorFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppingRule:
    """When the rounds end; source: `facts` in `docs/method.md`, "Planned looks".

    Attributes:
        looks: Rounds at which the data may be looked at, ascending.
        family_alpha: False alarm rate of one comparison over all looks.
        look_alpha: Pocock's alpha at each look, before it is divided by the comparisons.
        comparisons: Number of arms compared with the baseline.
        equivalence_margin: Half-width of the equivalence region on the ratio, such as 0.02.
        floor: Smallest effect that may be claimed on this device, or None when unknown.
        extra_attempts: How often a disturbed round is repeated.
    """

    looks: tuple[int, ...]
    family_alpha: float
    look_alpha: float
    comparisons: int
    equivalence_margin: float = 0.02
    floor: float | None = None
    extra_attempts: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockCounts:
    """Blocks of each arm beside the latency rounds."""

    parity: int = 1
    profile: int = 1
    memory: int = 3
    cold_start: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """What is to be run; nothing of it changes once the first block has run.

    Attributes:
        experiment_id: Unique, sortable by time.
        model_name: Of the prepared model.
        arms: Two or more (one is allowed: a measurement without comparison).
        baseline: Arm id the others are compared with.
        rule: When the rounds end.
        seed: Of the order of arms in the rounds.
        device: Device the experiment belongs to.
        sample: Inputs used, with reference outputs.
        prepared_path: Directory of the prepared model, absolute.
        warm_up: Of latency blocks.
        stop: Of latency blocks.
        counts: Blocks beside the latency rounds.
        block_deadline_s: Total time one block may take.
        command: The command that repeats it.
        created_at: UTC, ISO 8601.
        schema_version: Of `experiment.json`.
    """

    experiment_id: str
    model_name: str
    arms: tuple[Arm, ...]
    baseline: str
    rule: StoppingRule
    seed: int
    device: DeviceInfo
    sample: Sample
    prepared_path: str
    warm_up: WarmUpRule = field(default_factory=WarmUpRule)
    stop: StopRule = field(default_factory=StopRule)
    counts: BlockCounts = field(default_factory=BlockCounts)
    block_deadline_s: float = 120.0
    command: str = ""
    created_at: str = ""
    schema_version: int = 1

    def arm(self, arm_id: str) -> Arm:
        """Return an arm by id.

        Raises:
            KeyError: There is none.
        """
        for arm in self.arms:
            if arm.arm_id == arm_id:
                return arm
        raise KeyError(arm_id)


class Outcome(StrEnum):
    """How a block ended."""

    OK = "ok"
    FAILED = "failed"
    DIED = "died"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutedOperator:
    """Nodes that really ran, from ORT's profile of one run of the model."""

    provider: str
    operator: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One recorded block; a line of `blocks.jsonl`.

    Attributes:
        block_id: Says purpose, round, attempt and arm; unique in the run.
        arm_id: Of the experiment.
        purpose: Why it was run.
        round_index: From 0; for latency rounds, else the repetition.
        attempt: From 0; rises when a disturbed round is repeated.
        outcome: How it ended.
        result: The runner's answer, when it gave a valid one.
        death: What is known when it did not.
        executed: From the profile, for profile blocks.
        parity: Against the sample's reference outputs, for parity blocks.
        disturbances: Why the block's round is suspect, in sentences.
        session_id: The driver process that recorded it; a resumed run has several.
        started_at: UTC, ISO 8601.
        duration_s: As the driver saw it.
    """

    block_id: str
    arm_id: str
    purpose: Purpose
    round_index: int
    attempt: int
    outcome: Outcome
    result: BlockResult | None
    death: Death | None
    executed: tuple[ExecutedOperator, ...] = ()
    parity: Parity | None = None
    disturbances: tuple[str, ...] = ()
    session_id: str = ""
    started_at: str = ""
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """An experiment with the blocks recorded so far.

    Attributes:
        directory: Run directory: `experiment.json`, `blocks.jsonl`, `artifacts/`.
        experiment: What was planned.
        blocks: In the order they were recorded.
    """

    directory: Path
    experiment: Experiment
    blocks: tuple[Block, ...]


# ------------------------------------------------------------------------------ analysis


class Verdict(StrEnum):
    """What may be said of an arm against the baseline."""

    FASTER = "faster"
    SLOWER = "slower"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"
    NONE = "no verdict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Geometric mean of per-round ratios arm ÷ baseline, with its interval.

    Attributes:
        ratio: Above 1 is slower than the baseline.
        low: Lower bound at ``confidence``.
        high: Upper bound.
        confidence: Level of the interval that decides, such as 0.982.
        rounds: Rounds used.
        sign_flip_p: Exact or sampled sign-flip test, two-sided; shown, does not decide.
        bootstrap_low: Median-ratio bootstrap at 95 %; shown, does not decide.
        bootstrap_high: Likewise.
    """

    ratio: float
    low: float
    high: float
    confidence: float
    rounds: int
    sign_flip_p: float | None = None
    bootstrap_low: float | None = None
    bootstrap_high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """An arm against the baseline.

    Attributes:
        arm_id: The arm.
        baseline: What it is compared with.
        verdict: What may be said.
        sentence: The verdict in words, with figures.
        reason: Why there is no verdict or none stronger; empty otherwise.
        effect: None when fewer than two complete rounds exist.
        effect_undisturbed: The same without disturbed rounds, when there are any.
        verdict_undisturbed: Likewise.
    """

    arm_id: str
    baseline: str
    verdict: Verdict
    sentence: str
    reason: str
    effect: Effect | None
    effect_undisturbed: Effect | None = None
    verdict_undisturbed: Verdict | None = None


class Grade(StrEnum):
    """How far a result may be trusted."""

    A = "A"
    B = "B"
    C = "C"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustFinding:
    """A rule of the trust table that applies.

    Attributes:
        rule: Name of the rule.
        grade: Best grade that remains.
        sentence: Why, in plain words.
        arm_id: Arm it concerns, or None for the run.
    """

    rule: str
    grade: Grade
    sentence: str
    arm_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySummary:
    """Of an arm's measured samples; percentiles are descriptive, the verdict uses block medians.

    Attributes:
        block_count: Latency blocks that succeeded.
        sample_count: Samples in them.
        median_ns: Median of block medians.
        p90_ns: Over pooled samples.
        p99_ns: Likewise; None below 1,000 samples.
        minimum_ns: Fastest sample.
        throughput_per_s: Runs per second at the median.
        outlier_count: Samples outside Tukey's fences of their block.
        warm_up_converged_count: Blocks whose warm-up converged.
    """

    block_count: int
    sample_count: int
    median_ns: float
    p90_ns: float
    p99_ns: float | None
    minimum_ns: float
    throughput_per_s: float
    outlier_count: int
    warm_up_converged_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStartSummary:
    """Medians over fresh processes, in nanoseconds."""

    block_count: int
    environment_ns: float | None
    session_creation_ns: float | None
    first_run_ns: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySummary:
    """Median of one memory figure over an arm's memory blocks."""

    metric: str
    kind: str
    scope: str
    phase: str
    size_bytes: float
    block_count: int


class ReplayProof(StrEnum):
    """What the executed operators say of replay."""

    ON = "on"
    OFF = "off"
    NOT_APPLICABLE = "not applicable"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSummary:
    """All that was observed of one arm.

    Attributes:
        arm_id: The arm.
        ort_version: That ran it, or None when nothing ran.
        latency: None without a successful latency block.
        cold_start: None without one.
        memory: By metric, kind, scope and phase.
        executed: Nodes that really ran.
        registered_providers: As the session reported.
        replay: Proven from executed operators.
        replay_as_asked: False makes the arm unusable.
        parity: On the device; None when not run.
        failures: Failed and died blocks, in sentences.
    """

    arm_id: str
    ort_version: str | None
    latency: LatencySummary | None
    cold_start: ColdStartSummary | None
    memory: tuple[MemorySummary, ...]
    executed: tuple[ExecutedOperator, ...]
    registered_providers: tuple[str, ...]
    replay: ReplayProof
    replay_as_asked: bool
    parity: Parity | None
    failures: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """What to ship on this device, and why; ``arm_id`` is None when nothing may be said."""

    arm_id: str | None
    sentence: str
    evidence: tuple[str, ...]
    style: OptimizationStyle | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What a run says.

    Attributes:
        experiment_id: Of the run.
        finished: Whether all planned blocks exist.
        rounds: Complete latency rounds.
        stop_reason: Why the rounds ended, or what is still to come.
        comparisons: One for each arm but the baseline.
        arms: One for each arm, in order.
        grade: Lowest over the findings.
        findings: Rules that apply.
        recommendation: What to ship.
        headlines: Verdicts in words, for the top of a report and the last lines of a command.
    """

    experiment_id: str
    finished: bool
    rounds: int
    stop_reason: str
    comparisons: tuple[Comparison, ...]
    arms: tuple[ArmSummary, ...]
    grade: Grade
    findings: tuple[TrustFinding, ...]
    recommendation: Recommendation
    headlines: tuple[str, ...]

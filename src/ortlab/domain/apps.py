"""What is generated and built: apps that ship a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


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


class WebProvider(StrEnum):
    """An execution provider of onnxruntime-web, by its name there."""

    WASM = "wasm"
    WEBGPU = "webgpu"
    WEBNN = "webnn"


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
        web_providers: That a page can use, in order of preference; a page ships the one build of
            ONNX Runtime that has them.
        service_worker: Whether a page keeps its files in the browser, to start without a network.
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
    web_providers: tuple[WebProvider, ...] = (WebProvider.WASM,)
    service_worker: bool = False


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
        files: The APK with its splits, the `.ipa` or `.app`, or all files of a page; absolute, the
            base (of a page `bench.html` if it has one) first.
        sha256: Over the files, in order.
        application_id: As the package says.
        version_code: As the package says.
        version_name: As the package says.
        abis: Of its native libraries, sorted; empty when it has none.
        debuggable: As the package says.
        size_by_part: Stored bytes of ``code``, ``native`` (on the web ``wasm``), ``models``,
            ``resources``, ``other``.
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

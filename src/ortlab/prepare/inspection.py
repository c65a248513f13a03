"""What is in a model file, and what ORT releases make of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ortlab.domain import ModelSpec, ReleaseVerdict, ReplayAnswer
from ortlab.errors import UsageError
from ortlab.ort_releases import FormatFacts, ModelKind, release_verdicts
from ortlab.prepare.content import read_model_file
from ortlab.prepare.graph import Initializer, ParsedModel, SavedRecord
from ortlab.prepare.saved_records import contradictions


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What is in a model file, and what ORT releases make of it.

    Attributes:
        model: What the file says of itself.
        kind: `.onnx` or `.ort`.
        format_version: Of the ORT format; None for `.onnx`.
        operator_counts: ``domain:Operator`` to nodes, subgraphs included, most frequent first.
        nodes_by_provider: Execution provider the `.ort` file assigns to operator counts; empty
            for `.onnx`.
        saved_optimizations: Saved records, in the file's order.
        contradictions: Saved records that cannot be replayed, in sentences.
        initializers: Largest first.
        initializer_bytes: Element type to bytes, largest first.
        releases: What ORT releases make of the file.
        sentences: The above for people.
    """

    model: ModelSpec
    kind: ModelKind
    format_version: int | None
    operator_counts: Mapping[str, int]
    nodes_by_provider: Mapping[str, Mapping[str, int]]
    saved_optimizations: tuple[SavedRecord, ...]
    contradictions: tuple[str, ...]
    initializers: tuple[Initializer, ...]
    initializer_bytes: Mapping[str, int]
    releases: tuple[ReleaseVerdict, ...]
    sentences: tuple[str, ...]


def inspect_file(path: Path, *, releases: tuple[str, ...] = ()) -> Inspection:
    """Tell what is in an `.onnx` or `.ort` file.

    Args:
        path: The file.
        releases: ORT releases or versions to answer for; all measured ones when empty.

    Raises:
        UsageError: There is no such file, or a release is unknown.
        ModelError: The file is neither kind of model, or damaged.
    """
    _expect_file(path)
    model = read_model_file(path)
    facts = format_facts(model)
    verdicts = release_verdicts(facts, releases)
    tensors = (tensor for graph in model.all_graphs() for tensor in graph.initializers)
    return Inspection(
        model=model.spec,
        kind=model.kind,
        format_version=model.format_version,
        operator_counts=model.operator_counts(),
        nodes_by_provider=_nodes_by_provider(model),
        saved_optimizations=tuple(r for graph in model.all_graphs() for r in graph.records),
        contradictions=facts.contradictions,
        initializers=tuple(sorted(tensors, key=lambda tensor: (-tensor.size_bytes, tensor.name))),
        initializer_bytes=model.initializer_bytes(),
        releases=verdicts,
        sentences=tuple(_sentences(model, facts, verdicts)),
    )


def _expect_file(path: Path) -> None:
    try:
        exists, is_file = path.exists(), path.is_file()
    except OSError as error:
        message = f"cannot inspect {path}: {error.strerror or error}"
        raise UsageError(message) from error
    if not is_file:
        what = "it is not a file" if exists else "there is no such file"
        message = f"cannot inspect {path}: {what}"
        raise UsageError(message, next_step="give an .onnx or .ort file")


def format_facts(model: ParsedModel) -> FormatFacts:
    """Return what decides whether ORT releases load and replay a parsed file."""
    return FormatFacts(
        kind=model.kind,
        ir_version=model.spec.ir_version,
        opsets=model.spec.opsets,
        operators=frozenset(
            f"{node.qualified_operator}:{node.since_version}" for node in model.all_nodes()
        ),
        format_version=model.format_version,
        saved_optimizations=model.saved_optimizations(),
        contradictions=contradictions(model.graph),
    )


def _nodes_by_provider(model: ParsedModel) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    if model.kind is ModelKind.ORT:
        for node in model.all_nodes():
            counts[node.execution_provider or "unassigned"][node.qualified_operator] += 1
    return {provider: dict(found.most_common()) for provider, found in sorted(counts.items())}


def _sentences(
    model: ParsedModel, facts: FormatFacts, verdicts: tuple[ReleaseVerdict, ...]
) -> Iterator[str]:
    nodes = sum(model.operator_counts().values())
    opset = facts.opsets.get("ai.onnx")
    stated = f"IR version {facts.ir_version}, opset {'none' if opset is None else opset}"
    if model.kind is ModelKind.ORT:
        yield f"ORT format version {model.format_version}, {stated}, {nodes} nodes."
    else:
        yield f"ONNX, {stated}, {nodes} nodes."
    unused = sum(len(graph.unused_values) for graph in model.all_graphs())
    if model.kind is ModelKind.ORT and unused:
        yield f"It describes {unused} values that no node uses."
    for optimizer, count in facts.saved_optimizations.items():
        yield f"{count} optimization(s) of {optimizer} are saved, to be replayed when it is loaded."
    if facts.contradictions:
        yield f"Replay would break it: {facts.contradictions[0]}."
        yield "Convert it again with ORT 1.31.1 or later, or load it at level BASIC."
    yield _release_sentence("Loads in", [each.release for each in verdicts if each.loads])
    for answer, words in (
        (ReplayAnswer.BY_DEFAULT, "Replays by default in"),
        (ReplayAnswer.WITH_KEY, "Replays only with a session config key in"),
    ):
        found = [each.release for each in verdicts if each.replay is answer]
        if found:
            yield _release_sentence(words, found)


def _release_sentence(words: str, releases: list[str]) -> str:
    """Return the releases as they are: a file may skip some in the middle."""
    return f"{words} ORT {', '.join(releases)}." if releases else f"{words} none of these releases."

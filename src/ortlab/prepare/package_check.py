"""A model's operators and types against the operator config that an ORT package was built with.

A reduced package holds only the kernels of its config. A model that needs another fails on the
phone with "Failed to find kernel for Conv(11)"; here the same is said before anything is shipped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ortlab.domain import OptimizationStyle, PreparedModel, Variant
from ortlab.errors import ModelError
from ortlab.prepare.custom_ops import ORT_DOMAINS
from ortlab.prepare.ort_format import read_ort
from ortlab.prepare.package_config import PackageConfig, entry_types, read_package_config
from ortlab.prepare.reduced_build import required_operators

# ORT keeps these types whatever a config says (tools/ort_format_model in its wheel).
_INDEX_TYPES = frozenset({"int32_t", "int64_t"})
_SHAPE_OPERATORS = frozenset(
    {"Add", "Concat", "Div", "Equal", "Greater", "Less", "Mul", "Neg", "Sub"}
)
_DEQUANTIZED_TYPES = frozenset({"int8_t", "uint8_t", "int32_t"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingOperator:
    """An operator that a package lacks.

    Attributes:
        domain: Such as ``ai.onnx``.
        operator: Such as ``Conv``.
        opset: Since which the operator has been as the model uses it.
        package_opsets: Opsets for which the package has an operator of that name.
        variant_ids: Variants that need it.
        only_replayed: Whether it is needed only when saved optimizations are replayed.
        sentence: All of it in words.
    """

    domain: str
    operator: str
    opset: int
    package_opsets: tuple[int, ...]
    variant_ids: tuple[str, ...]
    only_replayed: bool
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingType:
    """Element types that a package's operator lacks.

    Attributes:
        domain: Such as ``ai.onnx``.
        operator: Such as ``Cast``.
        argument: ``inputs 0``, ``outputs 0``, or ``custom`` for a combination of types.
        types: C++ names of the missing types.
        variant_ids: Variants that need them.
        sentence: All of it in words.
    """

    domain: str
    operator: str
    argument: str
    types: tuple[str, ...]
    variant_ids: tuple[str, ...]
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageCheck:
    """Whether a package can run the variants of a prepared model.

    Attributes:
        config_path: The package's operator config.
        model_name: Of the prepared model.
        checked: Variants that were compared.
        missing_operators: What the package lacks.
        missing_types: Types it lacks for operators it has.
        notes: What was not compared, and why, in sentences.
        usable: Checked variants that lack nothing.
    """

    config_path: str
    model_name: str
    checked: tuple[str, ...]
    missing_operators: tuple[MissingOperator, ...]
    missing_types: tuple[MissingType, ...]
    notes: tuple[str, ...]
    usable: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every checked variant can run, and there is one."""
        return bool(self.checked) and not self.missing_operators and not self.missing_types


@dataclass(frozen=True, slots=True, kw_only=True)
class _Needs:
    """What one variant needs."""

    variant_id: str
    operators: frozenset[tuple[str, str, int]]
    replayed: frozenset[tuple[str, str, int]]
    types: Mapping[tuple[str, str], Mapping[str, frozenset[str]]]


def check_package(prepared: PreparedModel, directory: Path, config: Path) -> PackageCheck:
    """Compare a prepared model with the operator config of a package.

    Args:
        prepared: The manifest.
        directory: Where the prepared files are.
        config: Operator config that the package was built with (``--include_ops_by_config``).

    Returns:
        What is missing, by variant. ``.onnx`` variants are not compared: their operators depend
        on what ORT makes of the graph at load, and a minimal build loads none.

    Raises:
        UsageError: The config cannot be read or means nothing.
        ModelError: A variant's file cannot be read.
    """
    package = read_package_config(config)
    notes: list[str] = []
    needs = [
        _needs(variant, directory / variant.path, notes)
        for variant in prepared.variants
        if variant.style is not OptimizationStyle.ONNX
    ]
    unread = [v.variant_id for v in prepared.variants if v.style is OptimizationStyle.ONNX]
    if unread:
        notes.append(
            f"{', '.join(unread)} not compared: what an .onnx file needs depends on the graph"
            " optimization at load, and a minimal build loads no .onnx"
        )
    foreign = {key[0] for need in needs for key in need.operators} - ORT_DOMAINS
    if foreign:
        notes.append(
            f"operators of {', '.join(sorted(foreign))} not compared: they come from a custom-op"
            " library, not from the package"
        )
    operators = tuple(_missing_operators(needs, package))
    types = tuple(_missing_types(needs, package))
    lacking = {name for missing in operators for name in missing.variant_ids}
    lacking |= {name for missing in types for name in missing.variant_ids}
    return PackageCheck(
        config_path=str(config),
        model_name=prepared.name,
        checked=tuple(need.variant_id for need in needs),
        missing_operators=operators,
        missing_types=types,
        notes=tuple(notes),
        usable=tuple(need.variant_id for need in needs if need.variant_id not in lacking),
    )


# ------------------------------------------------------------------------------- the comparison


def _needs(variant: Variant, path: Path, notes: list[str]) -> _Needs:
    required = required_operators([path])
    if required.types is None:
        notes.append(f"types of {variant.variant_id} not compared: {required.types_reason}")
    operators = frozenset(
        (domain, name, opset)
        for domain, opsets in required.operators.items()
        for opset, names in opsets.items()
        for name in names
    )
    replayed = frozenset(
        _produced(operator, path)
        for graph in read_ort(path).all_graphs()
        for record in graph.records
        for operator in record.produced_operators
    )
    return _Needs(
        variant_id=variant.variant_id,
        operators=operators,
        replayed=replayed - operators,
        types={
            key: entry_types(key[1], json.loads(e)) for key, e in (required.types or {}).items()
        },
    )


def _produced(operator: str, path: Path) -> tuple[str, str, int]:
    """Split ``domain:Operator:opset`` of a saved optimization."""
    domain, _, rest = operator.partition(":")
    name, _, opset = rest.partition(":")
    if not (opset.isascii() and opset.isdigit() and len(opset) <= 9):
        message = f"cannot read {path.name}: a saved optimization makes {operator[:80]!r}"
        raise ModelError(message)
    return domain or "ai.onnx", name, int(opset)


def _missing_operators(
    needs: Sequence[_Needs], package: PackageConfig
) -> Iterator[MissingOperator]:
    if package.all_operators:
        return
    wanted: dict[tuple[str, str, int], list[str]] = {}
    always: set[tuple[str, str, int]] = set()
    for need in needs:
        always |= need.operators
        for key in need.operators | need.replayed:
            wanted.setdefault(key, []).append(need.variant_id)
    for key in sorted(wanted):
        domain, operator, opset = key
        if domain not in ORT_DOMAINS:
            continue
        opsets = package.operators.get(domain, {})
        having = tuple(sorted(version for version, names in opsets.items() if operator in names))
        if any(_same_kernel(domain, operator, opset, version) for version in having):
            continue
        variant_ids = tuple(wanted[key])
        only_replayed = key not in always
        yield MissingOperator(
            domain=domain,
            operator=operator,
            opset=opset,
            package_opsets=having,
            variant_ids=variant_ids,
            only_replayed=only_replayed,
            sentence=_operator_sentence(key, having, variant_ids, only_replayed=only_replayed),
        )


def _same_kernel(domain: str, operator: str, since: int, listed: int) -> bool:
    """Whether listing an opset brings the kernel of an operator as it has been since another.

    ORT's configs list the opset since which an operator is unchanged; hand-written ones list the
    model's opset, which stands for the newest version of the operator up to it.
    """
    if listed == since:
        return True
    if listed < since:
        return False
    import onnx

    try:
        name = "" if domain == "ai.onnx" else domain
        schema = onnx.defs.get_schema(operator, listed, name)
    except onnx.defs.SchemaError:
        return True  # an operator of ORT's own; these have one version
    return bool(schema.since_version == since)


def _operator_sentence(
    key: tuple[str, str, int],
    having: Sequence[int],
    variant_ids: Sequence[str],
    *,
    only_replayed: bool,
) -> str:
    domain, operator, opset = key
    what = f"{domain}:{operator} of opset {opset}"
    when = " when saved optimizations are replayed" if only_replayed else ""
    if having:
        versions = ", ".join(map(str, having))
        lack = f"the package has it for opset {versions} only"
    else:
        lack = "the package does not have it"
    return (
        f"{_who(variant_ids)} {what}{when}, and {lack}: ORT would refuse the model"
        f' with "Failed to find kernel for {operator}({opset})"'
    )


def _missing_types(needs: Sequence[_Needs], package: PackageConfig) -> Iterator[MissingType]:
    if not package.types and package.globally_allowed_types is None:
        return
    wanted: dict[tuple[str, str, str], dict[str, frozenset[str]]] = {}
    for need in needs:
        for (domain, operator), arguments in need.types.items():
            allowed = _allowed_types(package, domain, operator)
            for argument, types in arguments.items():
                lacking = frozenset(name for name in types if not allowed(argument, name))
                if lacking:
                    key = (domain, operator, argument)
                    wanted.setdefault(key, {})[need.variant_id] = lacking
    for (domain, operator, argument), by_variant in sorted(wanted.items()):
        missing = tuple(sorted(frozenset[str]().union(*by_variant.values())))
        place = "its types together" if argument == "custom" else _place(argument)
        yield MissingType(
            domain=domain,
            operator=operator,
            argument=argument,
            types=missing,
            variant_ids=tuple(by_variant),
            sentence=(
                f"{_who(tuple(by_variant))} {domain}:{operator} with {'; '.join(missing)} as"
                f" {place}, and the package was reduced to other types"
            ),
        )


def _allowed_types(
    package: PackageConfig, domain: str, operator: str
) -> Callable[[str, str], bool]:
    """Return a test of (argument, type) for one operator."""
    kept: frozenset[str] = frozenset()
    if domain == "ai.onnx" and operator in _SHAPE_OPERATORS:
        kept = _INDEX_TYPES
    elif domain == "ai.onnx" and operator == "DequantizeLinear":
        kept = _DEQUANTIZED_TYPES
    everywhere = package.globally_allowed_types
    entry = package.types.get((domain, operator))

    def allowed(argument: str, name: str) -> bool:
        if argument == "inputs 0" and name in kept:
            return True
        if everywhere is not None:
            return all(part in everywhere for part in name.split(", "))
        return entry is None or argument not in entry or name in entry[argument]

    return allowed


def _who(variant_ids: Sequence[str]) -> str:
    return f"{', '.join(variant_ids)} {'needs' if len(variant_ids) == 1 else 'need'}"


def _place(argument: str) -> str:
    side, _, index = argument.partition(" ")
    return f"{side.removesuffix('s')} {index}"

"""Proof, from the operators that really ran, whether saved runtime optimizations were applied.

Options prove nothing: the default changed in ORT 1.30 and a release before 1.30 ignores the key.
What executed is compared with what the file holds. ORT loads an `.ort` file without further graph
optimization, so that on the CPU provider every node beyond those of the file comes from a saved
record: FusedConv from ConvActivationFusion, QLinearConv and its like from the QDQ records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from ortlab.domain import Arm, ExecutedOperator, OptimizationStyle, Replay, ReplayProof

CPU_PROVIDER: Final = "CPUExecutionProvider"

_INSERTED: Final = frozenset(
    {"Transpose", "Cast", "Identity", "MemcpyFromHost", "MemcpyToHost", "Reshape"}
)
"""Operators that ORT inserts for layouts, types and devices; they are no proof of a record."""

_FUSED_PREFIXES: Final = ("Fused", "QLinear")
_QUANTIZATION: Final = ("QuantizeLinear", "DequantizeLinear")
_CONTROL_FLOW: Final = frozenset({"If", "Loop", "Scan"})


def prove_replay(arm: Arm, executed: Sequence[ExecutedOperator]) -> ReplayProof:
    """Say whether the saved optimizations of an arm's file were applied.

    Args:
        arm: With the file's style, number of saved records and operator counts.
        executed: Nodes that ran in one run of the model, from its profile.
    """
    if arm.style is not OptimizationStyle.RUNTIME or arm.saved_optimization_count == 0:
        return ReplayProof.NOT_APPLICABLE
    if not executed:
        return ReplayProof.UNKNOWN
    if _shows_replay(arm, executed):
        return ReplayProof.ON
    if _left_cpu(executed) and arm.replay is not Replay.OFF:
        # Another provider took nodes that the records speak of: nothing was left to replay.
        return ReplayProof.UNKNOWN
    return ReplayProof.OFF


def replay_as_asked(arm: Arm, executed: Sequence[ExecutedOperator]) -> bool:
    """Say whether what ran agrees with ``arm.replay``; False makes the arm unusable.

    DEFAULT leaves it to the runtime, so anything agrees. Where another provider took the nodes,
    on and off are the same and agree too. Without any executed operators nothing is proven.
    """
    proof = prove_replay(arm, executed)
    if arm.replay is Replay.DEFAULT or proof is ReplayProof.NOT_APPLICABLE:
        return True
    if proof is ReplayProof.UNKNOWN:
        return bool(executed)
    return proof is (ReplayProof.ON if arm.replay is Replay.ON else ReplayProof.OFF)


def _shows_replay(arm: Arm, executed: Sequence[ExecutedOperator]) -> bool:
    ran = _by_operator((item.operator, item.count) for item in executed if _on_cpu(item))
    if not arm.operator_counts:
        return any(operator.startswith(_FUSED_PREFIXES) for operator in ran)
    held = _by_operator(arm.operator_counts.items())
    if any(ran[operator] > held[operator] for operator in ran.keys() - _INSERTED):
        return True
    # Records that only drop Q/DQ pairs add no node. Where branches may stay unexecuted, or another
    # provider took nodes, missing ones prove nothing.
    if _left_cpu(executed) or _CONTROL_FLOW & held.keys():
        return False
    return any(ran[operator] < held[operator] for operator in _QUANTIZATION)


def _by_operator(pairs: Iterable[tuple[str, int]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for name, count in pairs:
        counts[name.rpartition(":")[2]] += count
    return counts


def _on_cpu(item: ExecutedOperator) -> bool:
    return item.provider == CPU_PROVIDER


def _left_cpu(executed: Sequence[ExecutedOperator]) -> bool:
    return any(not _on_cpu(item) for item in executed)

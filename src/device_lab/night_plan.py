"""What a night is to answer, as the jobs that answer it: pairs of models, settings, phones.

A job is known by its name, which holds a digest of what is compared, so that the same request
finds the same jobs again. Base and new are the two arms of one interleaved experiment.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from device_lab.values import JobSpec, Requirements
from ortlab.codec import to_json
from ortlab.config import BenchSection
from ortlab.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A new model and what it is compared with.

    Attributes:
        new: Directory of the prepared model.
        base: Another one, or a release such as ``onnxruntime==1.20.0``.
        digest: SHA-256 over the content of both.
    """

    new: str
    base: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NightRequest:
    """What a night is to answer.

    Attributes:
        name: Of the night; another name measures the same things again.
        pairs: What is compared.
        limit: The slowdown that is allowed, such as 0.02.
        settings: Name of each setting of both arms to its ``[bench]``; each gives two arms.
        requirements: Which phones; ``phone_count`` 0 takes every one that is there and meets them.
        priority: Of the jobs.
        retries: Of the jobs.
        complete: Whether a cell without a usable result makes the night inconclusive.
        most_hours: That the screening may take, and then again the reruns; what is not measured
            by then is cancelled.
    """

    name: str
    pairs: tuple[Pair, ...]
    limit: float
    settings: Mapping[str, BenchSection] = field(default_factory=dict)
    requirements: Requirements = field(default_factory=lambda: Requirements(phone_count=0))
    priority: int = 0
    retries: int = 2
    complete: bool = False
    most_hours: float = 12.0


def gate_section(rounds: int, **choices: Any) -> BenchSection:
    """Return a ``[bench]`` that gives two arms and one look, after so many rounds.

    Args:
        rounds: Of each experiment.
        choices: Fields of `BenchSection`, each with at most one value.

    Raises:
        UsageError: Too few rounds.
    """
    if rounds < 8:
        message = f"cannot gate with {rounds} rounds: a cell needs 8 or more to support a verdict"
        raise UsageError(message, next_step="ortlab lab gate … --rounds 24")
    # Memory and cold starts are other questions; asked here they would only lengthen the night.
    plain = BenchSection(
        style=("onnx",),
        replay=("default",),
        min_rounds=rounds,
        max_rounds=rounds,
        memory_blocks=0,
        cold_start_blocks=0,
    )
    return replace(plain, **choices)


def pair_up(new: Sequence[str], against: Sequence[str]) -> tuple[Pair, ...]:
    """Return what to compare with what.

    A directory of several prepared models stands for all of them, and they are matched by name.
    One release of ONNX Runtime is the base of every model; else each NEW has its own BASE.

    Raises:
        UsageError: They do not match up, or there is no prepared model.
        ModelError: A prepared model is damaged.
    """
    from ortlab.devices import names_release
    from ortlab.pipeline import prepared_at

    pairs: list[tuple[str, str]] = []
    if len(against) == 1 and names_release(against[0]):
        pairs = [(str(path), against[0]) for text in new for path in _prepared_in(text)]
    elif len(against) == len(new):
        for text, base in zip(new, against, strict=True):
            pairs += _matched(text, base)
    else:
        message = f"cannot compare {len(new)} model(s) with {len(against)}: each needs its base"
        raise UsageError(message, next_step="ortlab lab gate NEW… --against BASE, once for each")
    if same := [path for path, base in pairs if path == base]:
        message = f"cannot compare {same[0]} with itself"
        raise UsageError(message, next_step="prepare the base into a directory of its own")
    if twice := [text for text, count in Counter(n for n, _ in pairs).items() if count > 1]:
        message = f"cannot gate {twice[0]}: it is named twice"
        raise UsageError(message)

    def content(text: str) -> str:
        return text if names_release(text) else to_json(prepared_at(Path(text))[0])

    return tuple(
        Pair(new=path, base=base, digest=_digest(content(path), content(base)))
        for path, base in pairs
    )


def _matched(new: str, base: str) -> list[tuple[str, str]]:
    from ortlab.devices import names_release

    ours = _prepared_in(new)
    if names_release(base):
        return [(str(path), base) for path in ours]
    theirs = _prepared_in(base)
    if len(ours) == len(theirs) == 1:
        return [(str(ours[0]), str(theirs[0]))]
    by_name = {path.name: path for path in theirs}
    if missing := [path.name for path in ours if path.name not in by_name]:
        message = f"cannot compare {new} with {base}: there is no {', '.join(missing[:5])} in it"
        raise UsageError(message, next_step="name the models and their bases one by one")
    return [(str(path), str(by_name[path.name])) for path in ours]


def _prepared_in(text: str) -> list[Path]:
    """Return a prepared directory, or those inside of a directory, absolute and by name."""
    from ortlab.prepare import find_prepared

    directory = Path(text).resolve()
    if directory.is_dir() and not (directory / "manifest.json").is_file():
        inside = (path for path in directory.iterdir() if not path.name.startswith("."))
        found = sorted(path for path in inside if (path / "manifest.json").is_file())
        if len(found) > 1:
            return found
    return [find_prepared(directory)]


def _digest(*texts: str) -> str:
    whole = hashlib.sha256()
    for text in texts:
        content = text.encode(errors="surrogatepass")
        whole.update(len(content).to_bytes(8, "big") + content)
    return whole.hexdigest()


def screening_specs(request: NightRequest) -> tuple[tuple[str, JobSpec], ...]:
    """Return each setting's name with its job; each model has its own base.

    The same request gives the same names and seeds.
    """
    asked = _digest(
        request.name,
        *(f"{pair.new}\n{pair.base}\n{pair.digest}" for pair in request.pairs),
        *(f"{name}\n{to_json(section)}" for name, section in request.settings.items()),
        to_json(request.requirements),
    )
    specs: list[tuple[str, JobSpec]] = []
    for number, (setting, section) in enumerate(request.settings.items(), start=1):
        part = f" {number} of {len(request.settings)}" if len(request.settings) > 1 else ""
        spec = JobSpec(
            name=f"{request.name} {asked[:12]}, screening{part}",
            models=tuple(pair.new for pair in request.pairs),
            bases=tuple(pair.base for pair in request.pairs),
            bench=replace(section, seed=int(_digest(asked, str(number))[:8], 16)),
            requirements=request.requirements,
            priority=request.priority,
            retries=request.retries,
        )
        specs.append((setting, spec))
    return tuple(specs)

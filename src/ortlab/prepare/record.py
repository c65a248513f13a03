"""Writing down what was prepared: samples, provenance, manifest, identity."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from ortlab.domain import PreparedModel, Provenance, Sample
from ortlab.prepare.cache import cache_key, toolchain, write_identity
from ortlab.prepare.job import Job
from ortlab.prepare.manifest import write_manifest
from ortlab.prepare.parity import Reference


def absolute_text(path: Path | None) -> str | None:
    """Return a path as the manifest records it."""
    return None if path is None else str(path.absolute())


def provenance(job: Job, model_sha256: str) -> Provenance:
    """Return what makes a prepared model: versions, machine, options, cache key."""
    versions = toolchain()
    plain = job.options.to_plain()
    return Provenance(
        ortlab_version=versions["ortlab"],
        ort_version=versions["onnxruntime"],
        onnx_version=versions["onnx"],
        python_version=versions["python"],
        machine=f"{platform.system()} {platform.machine()}",
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        cache_key=cache_key(model_sha256, job.options, job.name, job.model.name),
        options={key: str(value) for key, value in sorted(plain.items()) if value is not None},
    )


def write_samples(directory: Path, reference: Reference | None) -> tuple[Sample, ...]:
    """Write inputs and reference outputs as tensor files below ``directory``."""
    from ortlab.tensors import write_tensor

    if reference is None:
        return ()
    samples = []
    for inputs, outputs in reference.samples:
        written = {}
        for label, arrays in (("inputs", inputs.arrays), ("outputs", outputs)):
            place = directory / "samples" / inputs.sample_id / label
            place.mkdir(parents=True)
            tensors = [
                write_tensor(place / f"{number:03d}.bin", name, array, inputs.types.get(name))
                for number, (name, array) in enumerate(arrays.items())
            ]
            written[label] = tuple(
                replace(t, path=Path(t.path).relative_to(directory).as_posix()) for t in tensors
            )
        samples.append(
            Sample(
                sample_id=inputs.sample_id,
                origin=inputs.origin,
                inputs=written["inputs"],
                outputs=written["outputs"],
                notes=inputs.notes,
            )
        )
    return tuple(samples)


def write_down(job: Job, prepared: PreparedModel, external: Mapping[str, str]) -> None:
    """Write manifest and identity, the last files of a prepared directory.

    Args:
        job: What was done.
        prepared: What came of it.
        external: Location of the model's external data to its hash.
    """
    write_manifest(prepared, job.result)
    known = {variant.path: variant.sha256 for variant in prepared.variants}
    for sample in prepared.samples:
        for tensor in (*sample.inputs, *sample.outputs):
            if tensor.sha256 is not None:
                known[tensor.path] = tensor.sha256
    write_identity(job.result, key=prepared.provenance.cache_key, external=external, known=known)

"""`unbake repair` and `unbake render`."""

from __future__ import annotations

from argparse import Namespace

from core.handover.certificate import Certificate, OversFigures
from core.jobs.repair import Delivery, render_session
from core.jobs.repair import repair as run_repair
from tui.cli.terminal import drive, emit, level, table


def repair(options: Namespace) -> int:
    """Preset to repaired master."""
    operation = run_repair(
        options.file,
        options.preset,
        delivery(options),
        session_path=options.session,
        model=options.model,
        precision=options.precision,
        stems_from=options.stems_from,
        align=options.align,
        device=options.device,
        reference=options.reference,
    )
    return _finish(drive(operation, options), options)


def render(options: Namespace) -> int:
    """Session to repaired master."""
    operation = render_session(
        options.session,
        delivery(options),
        stems_from=options.stems_from,
        align=options.align,
        device=options.device,
    )
    return _finish(drive(operation, options), options)


def delivery(options: Namespace) -> Delivery:
    """Where to, and in which form, as typed."""
    return Delivery(
        options.output,
        options.report,
        options.subtype,
        options.overs,
        options.force,
        options.profile,
        options.rate,
    )


def _finish(certificate: Certificate, options: Namespace) -> int:
    emit(options, certificate, in_words(certificate))
    return 0 if certificate.passed else 1


def _overs(overs: OversFigures) -> str:
    treated = {
        "trim": f"the whole file lowered by {-overs.trim_db:.3f} dB",
        "limit": "limited",
        "clip": "clipped",
        None: "kept, since floating point holds them",
    }
    peak = level(overs.peak_dbfs, "dBFS", digits=2)
    return f"{overs.samples} beyond full scale (peak {peak}): {treated[overs.treatment]}"


def in_words(certificate: Certificate) -> str:
    """What a person wants to know of a finished render."""
    before, after = certificate.loudness.before, certificate.loudness.after
    proof = certificate.certificate
    if proof.identical:
        verdict = "identical to the source, sample for sample"
    elif proof.quantisation_dbfs is None:
        verdict = "not provable: a lossy format does not keep samples"
    else:
        name = "rest exact" if certificate.passed else "FAILS"
        residual = proof.render_residual_dbfs
        found = "nothing" if residual is None else f"at most {residual:.2f} dBFS"
        causes = "rounding and dither allow" if certificate.dithered else "rounding allows"
        verdict = f"{name}: {found} off source + changes ({causes} {proof.quantisation_dbfs:.2f})"
    stems = "none needed"
    if certificate.changed:
        stems = f"{certificate.model} ({', '.join(certificate.stems)})"
    rows = [
        ("output", certificate.output),
        ("format", _format(certificate)),
        ("changed", ", ".join(certificate.changed) or ("nothing" if proof.identical else "no stem")),
        ("stems", stems),
        ("proof", verdict),
        ("loudness", f"{level(before.lufs_i, 'LUFS')} -> {level(after.lufs_i, 'LUFS')}"),
        ("true peak", f"{level(before.true_peak_dbtp, 'dBTP')} -> {level(after.true_peak_dbtp, 'dBTP')}"),
        ("range", f"{level(before.lra_lu, 'LU')} -> {level(after.lra_lu, 'LU')}"),
        ("took", f"{certificate.seconds:.1f} s, {certificate.realtime_factor:.1f}x real time"),
    ]
    if certificate.cleanup:
        rows.insert(2, ("clean-up", "; ".join(certificate.cleanup)))
    if certificate.overs.samples:
        rows.insert(5, ("overs", _overs(certificate.overs)))
    if certificate.delivery is not None:
        rows.insert(5, ("delivery", certificate.delivery.why))
    if certificate.session is not None:
        rows.insert(1, ("session", certificate.session))
    return table(rows)


def _format(certificate: Certificate) -> str:
    dithered = ", dithered" if certificate.dithered else ""
    return f"{certificate.container} {certificate.subtype}, {certificate.sample_rate} Hz{dithered}"


__all__ = ["delivery", "in_words", "render", "repair"]

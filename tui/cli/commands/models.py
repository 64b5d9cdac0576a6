"""`unbake models list | show | fetch | add | check | remove`."""

from __future__ import annotations

import sys
from argparse import Namespace

import msgspec

from core.atomic import size_in_words
from core.errors import UnbakeError
from core.jobs import models
from core.jobs.models import Listed, Listing, Plan, Tried
from core.separation import ensembles, learnt, stems
from core.separation.ensembles import Ensemble, Take
from core.separation.stems import Choice
from models import registry
from models.registry import Score
from tui.cli.terminal import drive, emit, table

EXIT_FAILED = 1


def listing(options: Namespace) -> int:
    """All models, or those for one source, ranked."""
    found = models.listing(options.source)
    emit(options, found, _rankings(found) if options.source else _table(found))
    return 0


def show(options: Namespace) -> int:
    """One card, or one ensemble."""
    choice = stems.choice(options.name)
    ensemble = ensembles.find(options.name)
    if ensemble is not None:
        return _show_ensemble(choice, ensemble, options)
    card = registry.find(options.name)
    listed = models.listed(card)
    value = {
        "schema": 1,
        "installed": listed.installed,
        "speeds": msgspec.to_builtins(listed.speeds),
        **msgspec.to_builtins(card),
    }
    rows = [
        ("architecture", card.architecture),
        ("stems", ", ".join(card.stems)),
        ("for", ", ".join(registry.JOBS[job] for job in card.jobs)),
        ("sample rate", f"{card.sample_rate} Hz"),
        ("chunk", f"{card.chunk} frames, {card.chunk / card.sample_rate:.2f} s"),
        ("passes", f"{card.overlap:g}"),
        ("weights", size_in_words(listed.bytes)),
        *(("file", f"{item.url}, SHA-256 {item.sha256}") for item in card.weights),
        ("installed", "yes" if listed.installed else "no"),
        ("speed here", _speed(listed)),
        ("licence", card.licence),
        ("source", card.source),
        ("caution", card.caution),
        *(("score", f"{score_in_words(score)} ({score.source})") for score in card.scores),
    ]
    emit(options, value, "\n".join([card.name, f"  {card.about}", table([row for row in rows if row[1]], indent="  ")]))
    return 0


def _show_ensemble(choice: Choice, ensemble: Ensemble, options: Namespace) -> int:
    takes = msgspec.to_builtins(ensemble.takes)
    value = {"schema": 1, **msgspec.to_builtins(choice), "takes": takes}
    rows = [
        ("architecture", "ensemble"),
        ("stems", ", ".join(choice.stems)),
        *((take.stem, _recipe(take)) for take in ensemble.takes),
        ("installed", "yes" if choice.installed else "no"),
        ("licence", choice.licence),
        ("caution", choice.caution),
    ]
    table_ = table([row for row in rows if row[1]], indent="  ")
    emit(options, value, "\n".join([choice.name, f"  {choice.about}", table_]))
    return 0


def _recipe(take: Take) -> str:
    """How a stem is made: `mean of a (weight 2), b (residual)`."""
    parts = []
    for member in take.members:
        said = [
            "" if member.weight == 1.0 else f"weight {member.weight:g}",
            f"its {member.stem}" if member.stem not in ("", take.stem) else "",
            f"from {member.from_hz:g} Hz" if take.combine == "bands" else "",
            f"{member.shifts} shifts" if member.shifts > 1 else "",
            "inverted too" if member.invert else "",
            "swapped too" if member.swap else "",
        ]
        told = ", ".join(word for word in said if word)
        parts.append(f"{member.model} ({told})" if told else member.model)
    how = f"{take.combine} of " if len(parts) > 1 else ""
    return f"{how}{', '.join(parts)}{f', made from {take.of}' if take.of else ''}"


def score_in_words(score: Score) -> str:
    """`SDR vocals 11.2 dB, test set MVSEP multisong`; the unit only where the metric has one."""
    values = ", ".join(f"{stem} {value:g}{_unit(score.metric)}" for stem, value in score.values.items())
    return f"{score.metric} {values}, test set {score.test_set}"


def fetch(options: Namespace) -> int:
    """Brings weights, of an ensemble those of all its models, after saying how much it is and under which licence."""
    names = dict.fromkeys(member for name in options.names for member in models.members(name))
    plans = [models.plan(name) for name in names]
    wanted = [plan for plan in plans if plan.missing]
    if wanted:
        _agree(wanted, options)
    results = [drive(models.fetch(plan.name), options) for plan in plans]
    lines = [
        f"{result.name}: {size_in_words(result.bytes)} fetched in {result.seconds:.1f} s, SHA-256 as its card says"
        if result.files
        else f"{result.name}: all of its weights are here, SHA-256 as its card says"
        for result in results
    ]
    emit(options, {"schema": 1, "models": results}, "\n".join(lines))
    return 0


def _agree(plans: list[Plan], options: Namespace) -> None:
    """Says what is to come, and asks where there is somebody to ask. Raises UnbakeError for a no."""
    for plan in plans:
        rows = [
            ("licence", plan.licence),
            ("source", plan.source),
            *(("file", f"{each.url}  {_rest(each)}") for each in plan.missing),
            ("to", plan.folder),
        ]
        if not (options.quiet and options.yes):
            print(f"{plan.name}: {plan.about}\n{table(rows, indent='  ')}", file=sys.stderr)
    whole = size_in_words(sum(plan.bytes for plan in plans))
    if options.yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        licences = ", ".join(sorted({plan.licence for plan in plans}))
        what = f"{whole} would be fetched, licence {licences}, and nobody can be asked here"
        raise UnbakeError(what, where=", ".join(plan.name for plan in plans), remedy="say --yes to agree")
    _ask(f"fetch {whole}?")


def _rest(missing: models.Missing) -> str:
    whole = size_in_words(missing.bytes)
    return f"{whole}, {size_in_words(missing.bytes_here)} of it here" if missing.bytes_here else whole


def _ask(question: str) -> None:
    """Raises UnbakeError unless somebody types yes."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UnbakeError("nothing was done", remedy="answer y, or say --yes")


def add(options: Namespace) -> int:
    """Takes a checkpoint of the user's in."""
    from core.jobs import adding

    result = drive(
        adding.add(
            options.file,
            card=options.card,
            config=options.config,
            architecture=options.architecture,
            name=options.name,
            link=options.link,
            force=options.force,
        ),
        options,
    )
    rows = [
        ("model", result.name),
        ("network", f"{result.architecture}: {', '.join(result.stems)}"),
        ("weights", result.weights),
        ("card", result.card or "built in"),
    ]
    emit(options, result, table(rows))
    return 0


def check(options: Namespace) -> int:
    """Tries models out."""
    result = drive(models.check(tuple(options.names), options.device), options)
    emit(options, result, "\n".join(_tried(each) for each in result.models) or "no model is installed")
    return 0 if result.passed else EXIT_FAILED


def _tried(tried: Tried) -> str:
    if tried.problem is not None:
        return f"{tried.name}: {tried.problem}"
    rows = [
        (
            trial.precision,
            f"{trial.seconds:.2f} s",
            f"{trial.realtime_factor:.2f}x real time",
            "" if trial.difference_db is None else _difference(trial.difference_db),
        )
        for trial in tried.trials
    ]
    return f"{tried.name}: right, on {tried.device}\n{table(rows, indent='  ')}"


def _difference(difference_db: float) -> str:
    good = "" if difference_db <= learnt.VERIFIED_DB else ", too far to be chosen by itself"
    return f"{difference_db:.0f} dB off single precision{good}"


def remove(options: Namespace) -> int:
    """Removes weights."""
    card = registry.find(options.name)
    if not options.yes:
        if not sys.stdin.isatty():
            what = "its weights would be removed, and nobody can be asked here"
            raise UnbakeError(what, where=f"model {card.name}", remedy="say --yes to agree")
        _ask(f"remove the weights of {card.name}{' and its card' if options.card else ''}?")
    result = models.remove(options.name, card=options.card)
    lines = [f"removed {path}" for path in result.files] + [f"kept {path}" for path in result.kept]
    emit(options, result, "\n".join([*lines, f"{size_in_words(result.bytes)} freed"]))
    return 0


def _table(found: Listing) -> str:
    rows = [
        (
            model.name,
            "installed" if model.installed else "not here",
            f"{size_in_words(model.bytes):>8}",
            ", ".join(model.stems),
            model.licence,
        )
        for model in found.models
    ]
    rows += [("(broken)", "", "", "", problem) for problem in found.broken]
    together = [
        (each.name, "installed" if each.installed else "not here", ", ".join(each.stems), " + ".join(each.made_of))
        for each in found.ensembles
    ]
    return table(rows) + (f"\n\nensembles\n{table(together)}" if together else "")


def _rankings(found: Listing) -> str:
    """A table for each metric and test set, since figures of two can't be compared."""
    by_name = {model.name: model for model in found.models}
    blocks = []
    for ranking in found.rankings:
        unit = _unit(ranking.metric)
        rows = [(f"{place.value:6.2f}{unit}", *_row(by_name[place.name])) for place in ranking.places]
        blocks.append(f"{found.source}, by {ranking.metric} on {ranking.test_set}\n{table(rows)}")
    if found.unranked:
        rows = []
        for name in found.unranked:
            *cells, licence = _row(by_name[name])
            rows.append((*cells, _alone(name, str(found.source)), licence))
        blocks.append(f"{found.source}, without a figure that can be compared\n{table(rows, indent='  ')}")
    if found.ensembles:
        rows = [(each.name, "installed" if each.installed else "not here", each.about) for each in found.ensembles]
        blocks.append(f"{found.source}, by several models together\n{table(rows, indent='  ')}")
    return "\n\n".join([*blocks, *found.broken])


def _alone(name: str, source: str) -> str:
    """The first figure of a model for a source, with its test set."""
    for score in registry.find(name).scores:
        if source in score.values:
            return f"{score.metric} {score.values[source]:.2f}{_unit(score.metric)} ({score.test_set})"
    return "no figure"


def _unit(metric: str) -> str:
    return " dB" if metric.startswith("SDR") else ""


def _row(model: Listed) -> tuple[str, ...]:
    state = "installed" if model.installed else "not here"
    return (model.name, state, f"{size_in_words(model.bytes):>8}", _speed(model) or "speed unknown", model.licence)


def _speed(model: Listed) -> str:
    """`2.1x (cpu, fp32)`: seconds of audio per second of one pass, by device."""
    return ", ".join(
        f"{speed.realtime_factor:.2g}x ({speed.device.partition(',')[0]}, {speed.precision})" for speed in model.speeds
    )

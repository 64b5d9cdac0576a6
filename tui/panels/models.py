"""The networks: what they split into, whether their weights are here, their licences; fetched, tried and removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast
from urllib.parse import urlsplit

from core.atomic import size_in_words
from core.errors import UnbakeError
from core.jobs import messages, models
from core.jobs.models import Plan, Speed
from core.separation import stems
from core.separation.stems import Choice
from models import registry
from models.registry import Card, Score
from tui.jobs import Job, Jobs, JobStoppedError
from tui.panels.ask import Answer, Ask
from tui.panels.panel import Panel, heading, paragraph
from tui.widgets.rows import Cell, Row

if TYPE_CHECKING:
    from core.jobs.trial import Trial
    from tui.app import Workstation


class ModelsPanel(Panel[None]):
    """Lists cards and ensembles. What is fetched goes on when the panel is closed; the jobs line tells of it."""

    title_text = "models"
    choice_title = "fetch, stop or try"
    hints: ClassVar[tuple[str, ...]] = ("list.choose", "list.remove", "list.filter", "list.close")

    def __init__(self, jobs: Jobs) -> None:
        super().__init__()
        self._jobs = jobs
        self._look()

    def _look(self) -> None:
        found, self._broken = registry.all_cards()
        self._here = {card.name for card in found.values() if registry.is_installed(card)}
        # what can be used now comes first
        self._cards = dict(sorted(found.items(), key=lambda item: item[0] not in self._here))
        self._ensembles = {name: choice for name, choice in stems.choices().items() if choice.made_of}
        self._speeds: dict[str, tuple[Speed, ...]] = {}

    def look_again(self) -> None:
        """Shows what is here by now."""
        self._look()
        self.renew(self.list.chosen)

    def show_progress(self) -> None:
        """A job got on."""
        if any(self._jobs.on("transfer")):
            self.renew(self.list.chosen)

    def rows(self) -> list[Row]:
        """One line a model."""
        fetching = {job.title: job for job in self._jobs.on("transfer")}
        rows = []
        for card in self._cards.values():
            size = sum(item.bytes for item in card.weights)
            cells = (
                Cell("  "),
                Cell(card.name, "name", 31),
                self._state(card, fetching.get(_title(card.name))),
                Cell(size_in_words(size) if size else "no weights", "", -10),
                Cell("  "),
                Cell(", ".join(card.stems), "", 28),
                Cell("  "),
                Cell(card.licence, "dim"),
            )
            rows.append(Row(cells, key=card.name))
        rows += [Row((Cell("  ! ", "bad"), Cell(problem, "bad")), choice=False) for problem in self._broken]
        return [*rows, heading("ensembles"), *(self._ensemble(choice) for choice in self._ensembles.values())]

    @staticmethod
    def _ensemble(choice: Choice) -> Row:
        state = Cell("installed", "good", 12) if choice.installed else Cell("not here", "warn", 12)
        made = f"{len(choice.made_of)} model{'' if len(choice.made_of) == 1 else 's'}"
        cells = (Cell("  "), Cell(choice.name, "name", 31), state, Cell(made, "", -10), Cell("  "))
        return Row(
            (*cells, Cell(", ".join(choice.stems), "", 28), Cell("  "), Cell(choice.licence, "dim")), choice.name
        )

    def _state(self, card: Card, job: Job | None) -> Cell:
        if job is not None:
            return Cell("waiting" if job.share is None else f"coming {job.share:.0%}", "accent", 12)
        here = card.name in self._here
        return Cell("installed" if here else "not here", "good" if here else "warn", 12)

    def detail(self, key: object) -> Sequence[Row]:
        """The card, or what an ensemble is made of."""
        choice = self._ensembles.get(str(key))
        if choice is not None:
            made_of = ", ".join(choice.made_of)
            lines = [("about", choice.about), ("made of", made_of), ("caution", choice.caution)]
            lines.append(("licence", choice.licence))
            return [row for name, text in lines if text for row in paragraph(name, text, self.room)]
        card = self._cards.get(str(key))
        if card is None:
            return ()
        if card.name not in self._speeds:
            self._speeds[card.name] = models.listed(card).speeds
        lines = [
            ("about", card.about),
            ("for", ", ".join(registry.JOBS[job] for job in card.jobs)),
            ("caution", card.caution),
            ("network", f"{card.architecture}, {card.sample_rate} Hz, {card.overlap:g} passes"),
            ("licence", card.licence),
            ("source", card.source),
            *(
                (f"{speed.realtime_factor:.2g}x here", f"on {speed.device}, {speed.precision}")
                for speed in self._speeds[card.name]
            ),
            *((score.metric, _values(score)) for score in card.scores),
        ]
        return [row for name, text in lines if text for row in paragraph(name, text, self.room)]

    def choose(self, key: object) -> None:
        """Fetches the weights after asking, and stops it where that is under way; tries out what is here."""
        self.run_worker(self._choose(str(key)))

    async def _choose(self, name: str) -> None:
        running = next((job for job in self._jobs.on("transfer") if job.title == _title(name)), None)
        if running is not None:
            question = f"Stop fetching {name}? What has arrived is kept."
            if await self.app.push_screen_wait(Ask(question, [Answer("s", "stop")])):
                self._jobs.cancel(running)
            return
        try:
            members = models.members(name)
            plans = [plan for member in members if (plan := models.plan(member)).missing]
        except UnbakeError as error:
            _app(self).complain(error)
            return
        if not plans:
            question = (
                f"All weights of {name} are here. Run a chunk in every precision, to see that it works and how fast?"
            )
            if await self.app.push_screen_wait(Ask(question, [Answer("t", "try it")])):
                _app(self).run_worker(_try(_app(self), self._jobs, name, members))
            return
        question = "\n\n".join(_question(plan) for plan in plans)
        if await self.app.push_screen_wait(Ask(question, [Answer("f", "fetch")])):
            for plan in plans:
                _app(self).run_worker(_fetch(_app(self), self._jobs, plan.name))
            self.call_later(self.renew, self.list.chosen)

    def action_list_remove(self) -> None:
        """Removes the weights of the chosen model, after asking."""
        if self.list.chosen_key in self._ensembles:
            self.app.notify("an ensemble has no weights of its own: remove those of its models", markup=False)
        elif isinstance(self.list.chosen_key, str):
            self.run_worker(self._remove(self.list.chosen_key))

    async def _remove(self, name: str) -> None:
        if any(job.title == _title(name) for job in self._jobs.on("transfer")):
            self.app.notify(f"{name} is being fetched: stop that first", severity="warning", markup=False)
            return
        question = f"Remove the weights of {name}? They would have to be fetched again."
        if not await self.app.push_screen_wait(Ask(question, [Answer("r", "remove")])):
            return
        request = messages.RemoveModel(name)
        try:
            removed = await self._jobs.run(request, f"removing {name}", lane="analysis", quiet=True)
        except UnbakeError as error:
            _app(self).complain(error)
        except JobStoppedError:
            return
        else:
            kept = f"; {len(removed.kept)} kept for other models" if removed.kept else ""
            self.app.notify(f"{size_in_words(removed.bytes)} freed{kept}", markup=False)
        self.look_again()


async def _fetch(app: Workstation, jobs: Jobs, name: str) -> None:
    """Has a model fetched, whatever panel is open meanwhile, and says how that ended."""
    try:
        await jobs.run(messages.FetchModel(name), _title(name), lane="transfer")
    except JobStoppedError:
        app.notify(f"stopped; what has arrived of {name} is kept", markup=False)
    except UnbakeError as error:
        app.complain(error)
    else:
        app.notify(f"{name} is here", markup=False)
    _look_again(app)


async def _try(app: Workstation, jobs: Jobs, name: str, members: Sequence[str]) -> None:
    """Has models tried out, and says what was found of each."""
    app.notify(f"trying {name}: what is found is said here, and kept in the model's card", markup=False)
    try:
        found: models.Checked = await jobs.run(messages.CheckModels(tuple(members)), f"trying {name}")
    except JobStoppedError:
        return
    except UnbakeError as error:
        app.complain(error)
        return
    for tried in found.models:
        said = tried.problem or f"right; {', '.join(_speed(trial) for trial in tried.trials)}"
        app.notify(f"{tried.name}: {said}", severity="error" if tried.problem else "information", markup=False)
    _look_again(app)


def _speed(trial: Trial) -> str:
    off = "" if trial.difference_db is None else f" ({trial.difference_db:.0f} dB off)"
    return f"{trial.precision} {trial.realtime_factor:.2g}x real time{off}"


def _look_again(app: Workstation) -> None:
    for screen in app.screen_stack:
        if isinstance(screen, ModelsPanel):
            screen.look_again()


def _app(panel: ModelsPanel) -> Workstation:
    return cast("Workstation", cast(Any, panel.app))


def _title(name: str) -> str:
    return f"fetching {name}"


def _question(plan: Plan) -> str:
    """What is to come, with its licence, before it comes."""
    hosts = ", ".join(sorted({urlsplit(each.url).netloc for each in plan.missing}))
    here = sum(each.bytes_here for each in plan.missing)
    rest = f" ({size_in_words(here)} of it here already)" if here else ""
    size = size_in_words(plan.bytes + here)
    return f"Fetch {plan.name}? {size}{rest} from {hosts}\n\nlicence: {plan.licence}\nsource: {plan.source}"


def _values(score: Score) -> str:
    unit = " dB" if score.metric.startswith("SDR") else ""
    values = ", ".join(f"{stem} {value:g}{unit}" for stem, value in score.values.items())
    return f"{values}, test set {score.test_set} ({score.source})"

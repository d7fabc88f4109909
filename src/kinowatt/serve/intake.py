"""From a checked request to a job in the queue: references are stored, the model's limits are checked, and energy is predicted."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select

from kinowatt.energy.carbon import pue
from kinowatt.energy.grid_source import current, forecast
from kinowatt.energy.hourly import SLACK, UNKNOWN_S, greenest
from kinowatt.energy.ledger import lessons
from kinowatt.energy.predict import LEAST_HISTORY, Past, Prediction, Work
from kinowatt.engine import cost
from kinowatt.engine.budget import fitted
from kinowatt.engine.plan import Plan, default_size, fill
from kinowatt.media.image import crop_note
from kinowatt.serve.body import BadRequest
from kinowatt.serve.catalogue import Catalogue
from kinowatt.serve.files import Files
from kinowatt.serve.jobs import Jobs
from kinowatt.serve.orders import Order, Placed, Source
from kinowatt.serve.references import Looked
from kinowatt.serve.schema import AnchorIn, CreateVideo, EditVideo, ExtendVideo, ReferenceIn, RemixVideo, VideoRef, seconds_text
from kinowatt.serve.store import new_id
from kinowatt.serve.tables import COMPLETED, QUEUED, Character, Key, Video
from kinowatt.shot import MAX_SECONDS, OUTSIDE, START, At

MAX_TOTAL_S = 120.0  # of a clip that is extended again and again
MAX_WAITING = 10_000  # jobs in the queue
WAITING_S = 1.0  # how long a count of them is used
HISTORY_S = 5.0  # how long a reading of the history is used


class QuotaExceeded(BadRequest):
    """The key has used its energy for today, or the queue is full."""


class Intake:
    """Takes requests in. Everything here blocks; the routes call it in threads."""

    def __init__(self, jobs: Jobs, files: Files, catalogue: Catalogue) -> None:
        self.jobs, self.files, self.catalogue = jobs, files, catalogue
        self._waiting = (0.0, 0)
        self._history: dict[str, tuple[float, list[Past]]] = {}

    def create(self, owner: str, key: Key | None, body: CreateVideo, idempotency_key: str | None) -> Video:
        """POST /v1/videos."""
        with self._references(owner) as refs:
            return self._add(owner, key, body.model, self._order(refs, body), idempotency_key, body, refs=refs)

    def plan(self, owner: str, body: CreateVideo) -> dict[str, Any]:
        """What a request would give and cost, without making it."""
        with self._references(owner) as refs:
            order = self._order(refs, body)
            spec = self.catalogue.specs[order.model]
            plan, predicted, said = self._planned(order)
            not_before, waits = _greenest(body.deadline, predicted)
            refs.drop()
        return {
            "model": order.model,
            "size": f"{plan.width}x{plan.height}",
            "seconds": seconds_text(plan.frames / spec.fps),
            "frames": plan.frames,
            "steps": plan.shot.steps,
            "understood": list(plan.reading.understood),
            "not_understood": list(plan.reading.not_understood),
            "guidance": plan.shot.guidance,
            "cache": plan.shot.cache,
            "warnings": [*order.notes, *plan.warnings, *said, *waits],
            "not_before": None if not_before is None else int(not_before),
            "predicted": _told(predicted),
        }

    def remix(self, owner: str, key: Key | None, id: str, body: RemixVideo, idempotency_key: str | None) -> Video:
        """POST /v1/videos/{id}/remix: the whole clip, redrawn after a new sentence."""
        parent = self._finished(owner, id)
        order = self._soft(parent, body, "remix")
        return self._add(owner, key, parent.model, order, idempotency_key, body, remixed_from=id)

    def edit(self, owner: str, key: Key | None, body: EditVideo, idempotency_key: str | None) -> Video:
        """POST /v1/videos/edits: as a remix, held more firmly; also of an uploaded clip."""
        with self._references(owner) as refs:
            if isinstance(body.video, VideoRef):
                parent = self._finished(owner, body.video.id)
                order = self._soft(parent, body, "edit")
                return self._add(owner, key, body.model or parent.model, order, idempotency_key, body, remixed_from=parent.id)
            source, looked = refs.take(body.video, "video")
            name, spec = self.catalogue.pick(body.model)
            assert looked is not None
            size = default_size(spec, looked.width / looked.height)
            seconds = looked.seconds or spec.seconds
            order = Order(
                name, body.prompt, "edit", seconds=seconds, size=size, sources=(source,), strength=body.strength, **_controls(body)
            )
            return self._add(owner, key, body.model, order, idempotency_key, body, refs=refs)

    def extend(self, owner: str, key: Key | None, body: ExtendVideo, idempotency_key: str | None) -> Video:
        """POST /v1/videos/extensions: forward, backward, into a loop, or on to another clip. `seconds` of the result is the total."""
        with self._references(owner) as refs:
            given = [self._clip(owner, refs, clip, name) for clip, name in ((body.video, "video"), (body.to, "to")) if clip is not None]
            name, spec = self.catalogue.pick(body.model or next((c.model for c in given if c.model), None))
            wanted = _seconds(body.seconds)
            total = sum(c.seconds for c in given) + wanted
            if total > MAX_TOTAL_S:
                raise BadRequest(f"the clip would last {total:g} s; at most {MAX_TOTAL_S:g} s in all are made", "seconds")
            first = given[0]
            size = first.size or default_size(spec, first.looked.width / first.looked.height if first.looked else 1.0)
            sources = tuple(c.source for c in given)
            order = Order(name, body.prompt, body.direction, seconds=wanted, size=size, sources=sources, **_controls(body))
            if spec.standing and body.seed is None and first.seed is not None:
                order = replace(order, seed=first.seed)  # from noise that stands there comes more of the same place (engine/standing.py)
            model = body.model or first.model
            return self._add(owner, key, model, order, idempotency_key, body, total_s=total, refs=refs)

    def _order(self, refs: _References, body: CreateVideo) -> Order:
        name, spec = self.catalogue.pick(body.model)
        placed: list[Placed] = []
        looks: list[Looked | None] = []
        wanted: list[tuple[Any, At, float, str]] = [(a, a.at, a.strength, f"anchors.{i}") for i, a in enumerate(body.anchors)]
        if body.input_reference is not None:
            wanted.insert(0, (body.input_reference, START, 1.0, "input_reference"))
        for given, at, strength, param in wanted:
            source, looked = refs.take(given, param)
            placed.append(Placed(source, at, strength))
            looks.append(looked)
        for character in refs.characters(body):
            placed.append(Placed(Source("file", character.file), OUTSIDE))
        aspect = next((looked.width / looked.height for looked in looks if looked), None)
        size = _size(body.size) or default_size(spec, aspect)
        cut = [crop_note(looked.width, looked.height, *size) for looked in looks if looked]
        notes = tuple(note for note in cut if note)
        return Order(name, body.prompt, seconds=_seconds(body.seconds), size=size, anchors=tuple(placed), notes=notes, **_controls(body))

    def _soft(self, parent: Video, body: RemixVideo | EditVideo, mode: Any) -> Order:
        name, spec = self.catalogue.pick(body.model if isinstance(body, EditVideo) and body.model else parent.model)
        seconds = float((parent.facts or {}).get("frames", parent.seconds * spec.fps)) / spec.fps
        if seconds > MAX_SECONDS + 1 / spec.fps:
            raise BadRequest(f"the video lasts {seconds:g} s; at most {MAX_SECONDS:g} s can be redrawn in one go")
        size, sources = _size(parent.size), (Source("video", parent.id),)
        kept = min(seconds, MAX_SECONDS)
        return Order(name, body.prompt, mode, seconds=kept, size=size, sources=sources, strength=body.strength, **_controls(body))

    def _clip(self, owner: str, refs: _References, given: Any, param: str) -> _Clip:
        if isinstance(given, VideoRef):
            parent = self._finished(owner, given.id)
            return _Clip(Source("video", parent.id), parent.seconds, _size(parent.size), parent.model, parent.order["seed"])
        source, looked = refs.take(given, param)
        return _Clip(source, looked.seconds if looked else 0.0, looked=looked)

    def _finished(self, owner: str, id: str) -> Video:
        video = self.jobs.get(owner, id)
        if video.status != COMPLETED:
            raise BadRequest(f"the video {id} is {video.status}; only a completed one can be worked on", "video")
        return video

    def _add(
        self,
        owner: str,
        key: Key | None,
        model: str | None,
        order: Order,
        idempotency_key: str | None,
        body: Any,
        *,
        remixed_from: str | None = None,
        total_s: float | None = None,
        refs: _References | None = None,
    ) -> Video:
        spec = self.catalogue.specs[order.model]
        plan, predicted, said = self._planned(order)
        if order.budget_Wh is None and order.budget_gCO2e is None:  # else its worker chooses, with what it knows then
            order = replace(order, steps=plan.shot.steps, guidance=plan.shot.guidance)
        self._check_means(owner, key, predicted)
        not_before, waits = _greenest(body.deadline, predicted)
        facts = {
            "predicted": _told(predicted),
            "warnings": [*order.notes, *plan.warnings, *said, *waits],
            "understood": list(plan.reading.understood),
            "not_understood": list(plan.reading.not_understood),
        }
        now = time.time()
        video = Video(
            id=new_id("video"),
            owner=owner,
            status=QUEUED,
            created_at=now,
            position=now,
            model=model or order.model,
            prompt=order.prompt,
            size=f"{plan.width}x{plan.height}",
            seconds=total_s or order.seconds or spec.seconds,
            order=order.to_json(),
            remixed_from=remixed_from,
            idempotency_key=idempotency_key,
            request_sha256=self._fingerprint(owner, order) if idempotency_key else None,
            priority=body.priority,
            not_before=not_before,
            deadline=body.deadline,
            facts=facts,
        )
        added = self.jobs.add(video)
        if added is not video and refs is not None:  # this request has come before: its references are there already
            refs.drop()
        return added

    def _fingerprint(self, owner: str, order: Order) -> str:
        """A hash of what was asked: the same request sent twice has the same one, though its references lie in two files."""
        told = json.dumps(order.to_json(), sort_keys=True)
        for id in order.files:
            told = told.replace(id, self.files.get(owner, id).sha256)
        told = told.replace(f'"seed": {order.seed}', '"seed": 0')
        return hashlib.sha256(told.encode()).hexdigest()

    def _planned(self, order: Order) -> tuple[Plan, Prediction | None, tuple[str, ...]]:
        """What an order comes to with its budget: plan, prediction, and what was decided. BudgetError if nothing fits."""
        spec = self.catalogue.specs[order.model]
        plan, anatomy = order.plan(spec), cost.of(spec)
        said: tuple[str, ...] = ()
        place, past = cost.guess(), self._past(order.model)

        def predict(plan: Plan) -> Prediction | None:
            return None if anatomy is None else cost.predicted(cost.work(plan, anatomy), anatomy, place, past)

        grid = current()
        budget_J = plan.shot.budget.joules(grid.gCO2e_per_kWh, pue())
        if budget_J is not None and len(past) >= LEAST_HISTORY:  # a guess refuses nobody; the worker looks again before it begins
            fit = fitted(order.shot_as_planned(spec), spec, budget_J, predict)
            plan, said = fill(fit.shot, spec), fit.notes
        return plan, predict(plan), said

    def _check_means(self, owner: str, key: Key | None, predicted: Prediction | None) -> None:
        """Refuse before a joule is spent."""
        at, waiting = self._waiting
        if time.monotonic() - at > WAITING_S:
            self._waiting = time.monotonic(), (waiting := self.jobs.waiting())
        if waiting >= MAX_WAITING:
            raise QuotaExceeded(f"{MAX_WAITING} jobs are waiting; try again later", code="queue_full")
        if key is None or (key.wh_per_day is None and key.gco2e_per_day is None):
            return
        least_Wh = predicted.p10_Wh if predicted and predicted.clips else 0.0  # a guess refuses nobody
        spent_Wh, spent_gCO2e = self.jobs.spent_today(owner)
        least_gCO2e = least_Wh / 1000 * current().gCO2e_per_kWh * pue()
        for limit, spent, least, unit in (
            (key.wh_per_day, spent_Wh, least_Wh, "Wh"),
            (key.gco2e_per_day, spent_gCO2e, least_gCO2e, "g CO2e"),
        ):
            if limit is not None and spent + least >= limit:
                said = f"the key {key.name} may use {limit:g} {unit} a day and has used {spent:.3g} {unit}; the day ends at midnight UTC"
                raise QuotaExceeded(said, code="insufficient_quota")

    def _past(self, model: str) -> list[Past]:
        """What this server's finished clips of a model teach, newest first."""
        at, past = self._history.get(model, (0.0, []))
        if time.monotonic() - at > HISTORY_S or not at:
            with self.jobs.database.read() as session:
                query = select(Video.facts, Video.energy).where(Video.status == COMPLETED).order_by(Video.number.desc()).limit(200)
                found = session.execute(query).all()
            mine = [(facts["work"], energy) for facts, energy in found if energy and facts.get("model") == model and facts.get("work")]
            past = lessons([(Work(**work), energy) for work, energy in mine])
            self._history[model] = (time.monotonic(), past)
        return past

    @contextmanager
    def _references(self, owner: str) -> Iterator[_References]:
        """References of one request; they are forgotten again if the request is refused."""
        refs = _References(owner, self.files, self.jobs)
        try:
            yield refs
        except BaseException:
            refs.drop()
            raise


@dataclass(frozen=True)
class _Clip:
    """A clip that is worked on: where it is, and what is known of it."""

    source: Source
    seconds: float
    size: tuple[int, int] | None = None
    model: str | None = None
    seed: int | None = None
    looked: Looked | None = None


class _References:
    """Stores the references of one request, and remembers which, so that they can be dropped."""

    def __init__(self, owner: str, files: Files, jobs: Jobs) -> None:
        self.owner, self.files, self.jobs = owner, files, jobs
        self.stored: list[str] = []

    def take(self, given: Any, param: str) -> tuple[Source, Looked | None]:
        """An upload, a URL, a file's id or a video's id, as a source. The header's facts where there is a file."""
        if isinstance(given, AnchorIn) and given.video_id is not None:
            video = self.jobs.get(self.owner, given.video_id)
            if video.status != COMPLETED:
                raise BadRequest(f"the video {video.id} is {video.status}; only a completed one can be an anchor", param)
            return Source("video", video.id), None
        if isinstance(given, (AnchorIn, ReferenceIn)):
            if given.file_id is not None:
                row, looked = self.files.looked(self.owner, given.file_id)
                return Source("file", row.id), looked
            assert given.image_url is not None
            row, looked = self.files.from_url(self.owner, given.image_url, param)
        else:
            row, looked = self.files.upload(self.owner, given, "reference", internal=True, name=param)
        self.stored.append(row.id)
        return Source("file", row.id), looked

    def characters(self, body: CreateVideo) -> Sequence[Character]:
        """Those named by id and those whose names stand in the prompt."""
        named = [self.files.character(self.owner, ref.id) for ref in body.characters]
        known = {c.id for c in named}
        return [*named, *(c for c in self.files.characters_in(self.owner, body.prompt) if c.id not in known)][:8]

    def drop(self) -> None:
        """Forget what was stored."""
        self.files.forget(self.stored)
        self.stored.clear()


def _told(predicted: Prediction | None) -> dict[str, Any] | None:
    """A prediction as answers show it, with its carbon at the present intensity."""
    if predicted is None:
        return None
    grid = current()
    grams = round(predicted.Wh / 1000 * grid.gCO2e_per_kWh * pue(), 9)
    told = {"zone": grid.zone, "intensity_year": grid.year, "intensity_gCO2e_per_kWh": grid.gCO2e_per_kWh}
    return {**predicted.to_json(), "carbon_gCO2e": grams, **told}


def _greenest(deadline: float | None, predicted: Prediction | None) -> tuple[float | None, tuple[str, ...]]:
    """When a job with a deadline is to begin, and what is said of it. InputError if the deadline cannot be met."""
    if deadline is None:
        return None, ()
    now, lasts = time.time(), predicted.seconds * SLACK if predicted else UNKNOWN_S
    trace = forecast()
    if trace is None:
        if deadline < now + lasts:
            raise BadRequest(
                f"the job takes about {lasts:.0f} s and its deadline is in {max(deadline - now, 0):.0f} s; give it more", "deadline"
            )
        return None, ("the deadline changes nothing: hourly carbon intensities are not known here, only an annual mean",)
    window = greenest(trace, now, deadline, lasts)
    if window.mean_gCO2e_per_kWh is None:
        return None, ("the deadline changes nothing: the carbon intensity of these hours is not known",)
    at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(window.begin_s))
    return window.begin_s, (f"it waits for the greenest hours before its deadline: {at}, {window.mean_gCO2e_per_kWh:.0f} g CO2e/kWh",)


def _controls(body: Any) -> dict[str, Any]:
    camera = {k: v for k, v in body.camera.model_dump().items() if v is not None} if body.camera else {}
    seed = {} if body.seed is None else {"seed": body.seed}
    return {
        "negative": body.negative_prompt,
        "steps": body.steps,
        "guidance": body.guidance,
        "camera": camera,
        "storyboard": tuple((scene.at_s, scene.prompt) for scene in body.storyboard),
        "enlarge": body.enlarge,
        "light": body.light,
        "mood": body.mood,
        "cache": body.cache,
        "budget_Wh": body.budget_wh,
        "budget_gCO2e": body.budget_gco2e,
        **seed,
    }


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= MAX_SECONDS:
        raise BadRequest(f"{text} seconds cannot be made; ask for more than 0 and at most {MAX_SECONDS:g}", "seconds")
    return seconds


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    width, height = text.split("x")
    return int(width), int(height)

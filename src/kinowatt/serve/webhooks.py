"""Webhooks: an event is written with the end of its job, in one transaction, and delivered until it is taken.

Signed after Standard Webhooks (https://www.standardwebhooks.com), which the official clients' `webhooks.unwrap` verifies: HMAC-SHA256
over `id.timestamp.body`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import secrets
import time

import httpx
from sqlalchemy import select
from sqlalchemy.orm import Session

from kinowatt.errors import InputError
from kinowatt.serve.database import Database
from kinowatt.serve.store import new_id
from kinowatt.serve.tables import COMPLETED, Delivery, Video, Webhook

ATTEMPTS = 8
FIRST_WAIT_S = 2.0  # doubles after each attempt: the last is after about four minutes
TIMEOUT_S = 10.0
log = logging.getLogger(__name__)


def add(database: Database, url: str, owner: str | None) -> Webhook:
    """Register a place to tell; its secret is shown once. InputError if the URL is none."""
    if not url.startswith(("http://", "https://")):
        raise InputError(f"{url!r} is no webhook URL; it must begin with http:// or https://")
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
    webhook = Webhook(id=new_id("wh"), owner=owner, url=url, secret=secret)
    with database.write() as session:
        session.add(webhook)
    return webhook


def announce(session: Session, video: Video) -> None:
    """Write the event of a job's end for every webhook that listens."""
    now = time.time()
    event = {
        "id": new_id("evt"),
        "object": "event",
        "created_at": int(now),
        "type": "video.completed" if video.status == COMPLETED else "video.failed",
        "data": {"id": video.id},
    }
    for webhook in session.scalars(select(Webhook).where((Webhook.owner == video.owner) | Webhook.owner.is_(None))):
        session.add(Delivery(id=new_id("msg"), webhook=webhook.id, body=json.dumps(event), created_at=now, next_at=now, answer=""))


def signature(secret: str, id: str, timestamp: int, body: str) -> str:
    """The value of the header webhook-signature."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{id}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def deliver(database: Database) -> int:
    """Try every event that is due once; returns how many were taken."""
    now = time.time()
    with database.read() as session:
        due = session.execute(
            select(Delivery, Webhook).join(Webhook, Webhook.id == Delivery.webhook).where(Delivery.next_at <= now).limit(50)
        ).all()
    taken = 0
    for delivery, webhook in due:
        answer, ok = _post(webhook, delivery)
        taken += ok
        with database.write() as session:
            row = session.get(Delivery, delivery.id)
            if row is None:
                continue
            row.attempts, row.answer = row.attempts + 1, answer[:200]
            row.next_at = None if ok or row.attempts >= ATTEMPTS else time.time() + FIRST_WAIT_S * 2.0 ** (row.attempts - 1)
        log.info("webhook", extra={"event": delivery.id, "url": webhook.url, "answer": answer[:200]})
    return taken


def _post(webhook: Webhook, delivery: Delivery) -> tuple[str, bool]:
    timestamp = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "kinowatt",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(webhook.secret, delivery.id, timestamp, delivery.body),
    }
    try:
        answer = httpx.post(webhook.url, content=delivery.body, headers=headers, timeout=TIMEOUT_S, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"{type(error).__name__}: {error}", False
    return str(answer.status_code), answer.is_success

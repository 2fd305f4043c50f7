"""Webhooks over HTTP: changes that are sent to an address, signed."""

from fastapi import APIRouter
from starlette.responses import Response

from api.answers import answer
from api.inputs import PAGE, Cursor, Limit, TheOwner, TheZoo
from api.openapi import refusals
from api.request_keys import TheKey
from registry.errors import InvalidInputError, KeyReusedError, NotFoundError
from registry.records import Page
from registry.webhook_records import Delivery, NewWebhook, SecretWebhook, Webhook

router = APIRouter(tags=["webhooks"])

WEBHOOK = "/webhooks/{webhook}"


@router.post(
    "/webhooks",
    status_code=201,
    response_model=SecretWebhook,
    operation_id="create_webhook",
    responses=refusals(InvalidInputError, KeyReusedError),
)
def create_webhook(body: NewWebhook, zoo: TheZoo, owner: TheOwner, key: TheKey) -> Response:
    """Have changes sent to an address from now on; the secret that signs them is told this once."""
    webhook = zoo.webhooks.create(body, owner=owner, key=key)
    headers = {"Location": f"/webhooks/{webhook.id}", "Cache-Control": "no-store"}
    return answer(webhook, status=201, headers=headers)


@router.get("/webhooks", response_model=Page[Webhook], operation_id="list_webhooks", responses=refusals())
def list_webhooks(zoo: TheZoo, owner: TheOwner, limit: Limit = PAGE, cursor: Cursor = None) -> Response:
    """Your webhooks, newest first."""
    return answer(zoo.webhooks.list(owner=owner, limit=limit, cursor=cursor))


@router.get(WEBHOOK, response_model=Webhook, operation_id="show_webhook", responses=refusals(NotFoundError))
def show_webhook(webhook: str, zoo: TheZoo, owner: TheOwner) -> Response:
    """One webhook: how far it is, whether deliveries fail, why it was disabled if it was."""
    return answer(zoo.webhooks.get(webhook, owner=owner))


@router.delete(WEBHOOK, status_code=204, operation_id="remove_webhook", responses=refusals(NotFoundError))
def remove_webhook(webhook: str, zoo: TheZoo, owner: TheOwner) -> None:
    """Send nothing there any more."""
    zoo.webhooks.remove(webhook, owner=owner, by=owner)


@router.get(
    f"{WEBHOOK}/deliveries",
    response_model=Page[Delivery],
    operation_id="list_deliveries",
    responses=refusals(NotFoundError),
)
def list_deliveries(webhook: str, zoo: TheZoo, owner: TheOwner, limit: Limit = PAGE, cursor: Cursor = None) -> Response:
    """Every try to deliver a change in the last seven days, newest first."""
    return answer(zoo.webhooks.deliveries(webhook, owner=owner, limit=limit, cursor=cursor))

"""Open invoices, read from Stripe."""

import os
from datetime import datetime, timezone

import requests

STRIPE_URL = os.environ["TOOL_STRIPE_API_URL"]


def due_date(invoice):
    return datetime.fromtimestamp(invoice["due_date"], timezone.utc)


def overdue(now):
    reply = requests.get(f"{STRIPE_URL}/v1/invoices", params={"status": "open", "limit": 100}, timeout=30)
    reply.raise_for_status()
    invoices = reply.json()["data"]
    return [invoice for invoice in invoices if invoice.get("due_date") and due_date(invoice) < now]

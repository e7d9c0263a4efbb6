"""Drafts in the mail service. Sending is left to a person."""

import os

import requests

MAIL_URL = os.environ["TOOL_MAIL_API_URL"]


def draft(to, subject, text):
    reply = requests.post(
        f"{MAIL_URL}/v1/drafts",
        json={"to": [to], "subject": subject, "text": text},
        timeout=30,
    )
    reply.raise_for_status()
    return reply.json()["id"]

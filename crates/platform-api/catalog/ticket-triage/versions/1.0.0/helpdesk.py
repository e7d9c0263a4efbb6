"""The helpdesk's part of the work."""

import os

import requests

HELPDESK_URL = os.environ["TOOL_HELPDESK_API_URL"]


def get_ticket(ticket_id):
    reply = requests.get(f"{HELPDESK_URL}/api/v2/tickets/{ticket_id}", timeout=30)
    reply.raise_for_status()
    return reply.json()["ticket"]


def search_tickets(customer_id):
    reply = requests.get(
        f"{HELPDESK_URL}/api/v2/tickets",
        params={"requester_id": customer_id, "sort": "-created_at", "limit": 10},
        timeout=30,
    )
    reply.raise_for_status()
    return [{"subject": ticket["subject"], "status": ticket["status"]} for ticket in reply.json()["tickets"]]


def assign_ticket(ticket_id, priority, team):
    reply = requests.put(
        f"{HELPDESK_URL}/api/v2/tickets/{ticket_id}",
        json={"ticket": {"priority": priority, "group": team}},
        timeout=30,
    )
    reply.raise_for_status()
    return {"ticket_id": ticket_id, "priority": priority, "team": team}

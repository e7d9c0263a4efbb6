"""Sorts a support ticket with Claude and three tools of the helpdesk."""

import json
import os

from anthropic import Anthropic

import helpdesk

MODEL = "claude-sonnet-4-5"
SYSTEM_PROMPT = os.environ.get(
    "SYSTEM_PROMPT",
    "You sort support tickets. Read the ticket and the customer's earlier tickets, decide on a priority (low, normal, "
    "high, urgent) and a team (billing, product, security), set both, and give your reasons in two sentences.",
)
MAX_TURNS = 8

TOOLS = [
    {
        "name": "get_ticket",
        "description": "The ticket with its text and its customer.",
        "input_schema": {
            "type": "object",
            "properties": {"ticket_id": {"type": "string"}},
            "required": ["ticket_id"],
        },
    },
    {
        "name": "search_tickets",
        "description": "Earlier tickets of a customer, newest first.",
        "input_schema": {
            "type": "object",
            "properties": {"customer_id": {"type": "string"}},
            "required": ["customer_id"],
        },
    },
    {
        "name": "assign_ticket",
        "description": "Sets priority and team.",
        "input_schema": {
            "type": "object",
            "properties": {
                "ticket_id": {"type": "string"},
                "priority": {"type": "string", "enum": ["low", "normal", "high", "urgent"]},
                "team": {"type": "string", "enum": ["billing", "product", "security"]},
            },
            "required": ["ticket_id", "priority", "team"],
        },
    },
]

CALLS = {
    "get_ticket": helpdesk.get_ticket,
    "search_tickets": helpdesk.search_tickets,
    "assign_ticket": helpdesk.assign_ticket,
}

client = Anthropic()


def run_tool(block):
    try:
        content, is_error = json.dumps(CALLS[block.name](**block.input)), False
    except Exception as error:
        content, is_error = f"{type(error).__name__}: {error}", True
    return {"type": "tool_result", "tool_use_id": block.id, "content": content, "is_error": is_error}


def handler(request):
    messages = [{"role": "user", "content": f"Sort ticket {request['message'].strip()}."}]
    for _ in range(MAX_TURNS):
        reply = client.messages.create(
            model=MODEL, max_tokens=1024, system=SYSTEM_PROMPT, tools=TOOLS, messages=messages
        )
        if reply.stop_reason != "tool_use":
            return {"response": "".join(block.text for block in reply.content if block.type == "text")}
        messages.append({"role": "assistant", "content": reply.content})
        results = [run_tool(block) for block in reply.content if block.type == "tool_use"]
        messages.append({"role": "user", "content": results})
    return {"response": "The ticket needs a person: it was not sorted within the turns that it has."}

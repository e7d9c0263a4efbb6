"""Fetch an incident, summarize it, post the summary: three steps of one graph."""

import os
from typing import TypedDict

import httpx
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph

PAGERDUTY_URL = os.environ["TOOL_PAGERDUTY_API_URL"]
SLACK_URL = os.environ["TOOL_SLACK_API_URL"]
CHANNEL = os.environ.get("INCIDENT_CHANNEL", "#incidents")

SYSTEM_PROMPT = (
    "You summarize incidents for engineers who were asleep: what broke, since when, what was tried, what is still "
    "open. Facts from the timeline only, no guesses about causes."
)

llm = ChatOpenAI(model="gpt-4o", temperature=0)


class State(TypedDict, total=False):
    incident_id: str
    title: str
    timeline: list[str]
    summary: str


def fetch(state: State) -> State:
    incident_id = state["incident_id"]
    incident = httpx.get(f"{PAGERDUTY_URL}/incidents/{incident_id}", timeout=30).raise_for_status().json()["incident"]
    entries = httpx.get(f"{PAGERDUTY_URL}/incidents/{incident_id}/log_entries", timeout=30).raise_for_status().json()
    timeline = [f"{entry['created_at']} {entry['summary']}" for entry in reversed(entries["log_entries"])]
    return {"title": incident["title"], "timeline": timeline}


def summarize(state: State) -> State:
    timeline = "\n".join(state["timeline"])
    answer = llm.invoke(
        [SystemMessage(content=SYSTEM_PROMPT), HumanMessage(content=f"{state['title']}\n\n{timeline}")]
    )
    return {"summary": answer.content}


def post(state: State) -> State:
    body = {"channel": CHANNEL, "text": f"*{state['title']}*\n{state['summary']}"}
    httpx.post(f"{SLACK_URL}/chat.postMessage", json=body, timeout=30).raise_for_status()
    return {}


builder = StateGraph(State)
builder.add_node("fetch", fetch)
builder.add_node("summarize", summarize)
builder.add_node("post", post)
builder.add_edge(START, "fetch")
builder.add_edge("fetch", "summarize")
builder.add_edge("summarize", "post")
builder.add_edge("post", END)
graph = builder.compile()


def handler(request):
    done = graph.invoke({"incident_id": request["message"].strip()})
    return {"response": done["summary"]}

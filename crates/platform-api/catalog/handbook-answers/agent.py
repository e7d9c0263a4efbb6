"""Answers questions from the pages of a wiki, nearest passages first."""

import os

import numpy as np
import requests
from openai import OpenAI

WIKI_URL = os.environ["TOOL_WIKI_API_URL"]
SPACE = os.environ.get("WIKI_SPACE", "handbook")
CHAT_MODEL = "gpt-4o-mini"
EMBEDDING_MODEL = "text-embedding-3-small"
SYSTEM_PROMPT = os.environ.get(
    "SYSTEM_PROMPT",
    "You answer questions about the company handbook from the given passages alone, and name the page of each fact. "
    "If the passages do not answer the question, say that the handbook does not say.",
)

client = OpenAI()


def passages():
    reply = requests.get(f"{WIKI_URL}/spaces/{SPACE}/pages", params={"limit": 200}, timeout=30)
    reply.raise_for_status()
    for page in reply.json()["pages"]:
        for paragraph in page["text"].split("\n\n"):
            if len(paragraph.split()) > 5:
                yield f"{page['title']}: {paragraph.strip()}"


def embed(texts):
    data = client.embeddings.create(model=EMBEDDING_MODEL, input=texts).data
    vectors = np.array([item.embedding for item in data])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def nearest(question, texts, count=6):
    vectors = embed([question, *texts])
    scores = vectors[1:] @ vectors[0]
    return [texts[index] for index in np.argsort(scores)[::-1][:count]]


def handler(request):
    question = request["message"]
    found = nearest(question, list(passages()))
    completion = client.chat.completions.create(
        model=CHAT_MODEL,
        messages=[
            {"role": "system", "content": SYSTEM_PROMPT},
            {"role": "user", "content": "Passages:\n\n" + "\n\n".join(found) + f"\n\nQuestion: {question}"},
        ],
    )
    return {"response": completion.choices[0].message.content, "passages": found}

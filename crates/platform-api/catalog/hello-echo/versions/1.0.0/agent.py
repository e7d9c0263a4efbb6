"""Sends a message to the echo tool and lets a model answer what came back."""

import json
import os
import urllib.request

ECHO_URL = os.environ.get("TOOL_ECHO_TOOL_URL", "http://echo-tool")
GATEWAY_URL = os.environ.get("LLM_GATEWAY_URL", "http://llm-gateway/v1")
SYSTEM_PROMPT = os.environ.get("SYSTEM_PROMPT", "You answer in one friendly sentence.")


def post(url, body):
    request = urllib.request.Request(
        url,
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.loads(reply.read())


def echo(message):
    return post(f"{ECHO_URL}/echo", {"message": message})["echo"]


def ask(text):
    completion = post(
        f"{GATEWAY_URL}/chat/completions",
        {
            "model": "gpt-4o-mini",
            "messages": [
                {"role": "system", "content": SYSTEM_PROMPT},
                {"role": "user", "content": text},
            ],
        },
    )
    return completion["choices"][0]["message"]["content"]


def handler(request):
    heard = echo(request.get("message", "Hello!"))
    return {"response": ask(heard), "echo": heard}


if __name__ == "__main__":
    print(json.dumps(handler({"message": "Hello from my first agent!"})))

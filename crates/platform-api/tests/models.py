"""OpenAI's and Anthropic's own clients ask the platform for models of providers that speak each format.

The providers are stand-ins here: each checks what it is sent as far as its format demands it.
"""

import base64
import json
import struct
import sys
import threading
import urllib.request
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anthropic
import openai
from pydantic import BaseModel

ADDRESS, KEY = sys.argv[1:3]
PROBLEMS = []


def event_stream(*events):
    """Amazon's framing: length, length of headers, checksum, headers, payload, checksum."""
    out = b""
    for event in events:
        payload = json.dumps({"bytes": base64.b64encode(json.dumps(event).encode()).decode()}).encode()
        headers = b""
        for name, value in ((":message-type", "event"), (":event-type", "chunk")):
            headers += bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
        message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
        out += message + struct.pack(">I", zlib.crc32(message))
    return out


def sse(*events, end=()):
    lines = [(f"event: {e['type']}\n" if "type" in e else "") + f"data: {json.dumps(e)}\n\n" for e in events]
    return "".join(lines + [f"data: {e}\n\n" for e in end]).encode()


def chat(body):
    tools = bool(body.get("tools")) and body["messages"][-1]["role"] != "tool"
    assert body["messages"][0]["role"] in ("system", "user"), body
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
    text = '{"name":"Ada"}' if body.get("response_format") else "Hello."
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    head = {"id": "c", "created": 1, "model": body["model"]}
    if body.get("stream"):
        assert body["stream_options"]["include_usage"], body
        piece = lambda delta, end=None: {**head, "object": "chat.completion.chunk",
                                         "choices": [{"index": 0, "delta": delta, "finish_reason": end}]}
        said = [piece({"tool_calls": [{"index": 0, **call}]})] if tools else [piece({"content": "Hel"}), piece({"content": "lo."})]
        return sse(*said, piece({}, "tool_calls" if tools else "stop"), {**head, "choices": [], "usage": usage}, end=["[DONE]"])
    message = {"role": "assistant", "content": None, "tool_calls": [call]} if tools else {"role": "assistant", "content": text}
    return {**head, "object": "chat.completion", "usage": usage,
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if tools else "stop"}]}


def messages(body, in_path=False):
    assert body["max_tokens"] > 0 and all(m["role"] in ("user", "assistant") for m in body["messages"]), body
    assert ("model" in body) != in_path, body
    last = body["messages"][-1]["content"]
    answered = isinstance(last, list) and any(b["type"] == "tool_result" for b in last)
    forced = (body.get("tool_choice") or {}).get("name") == "json_answer"
    call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}
    if forced:
        call = {"type": "tool_use", "id": "toolu_1", "name": "json_answer", "input": {"name": "Ada"}}
    tools = forced or bool(body.get("tools")) and not answered
    block = call if tools else {"type": "text", "text": "Hello."}
    stop = "tool_use" if tools else "end_turn"
    head = {"id": "m", "type": "message", "role": "assistant", "model": "x", "stop_sequence": None}
    return {**head, "content": [block], "stop_reason": stop, "usage": {"input_tokens": 3, "output_tokens": 2}}


def message_events(body, in_path=False):
    whole = messages(body, in_path)
    block = whole["content"][0]
    text = block["type"] == "text"
    deltas = ([{"type": "text_delta", "text": t} for t in ("Hel", "lo.")] if text
              else [{"type": "input_json_delta", "partial_json": t} for t in ('{"city":', '"Oslo"}')])
    start = {"type": "text", "text": ""} if text else {**block, "input": {}}
    return [
        {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": start},
        *({"type": "content_block_delta", "index": 0, "delta": d} for d in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": whole["stop_reason"], "stop_sequence": None}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ]


def gemini(body):
    parts = [p for c in body["contents"] for p in c["parts"]]
    tools = "tools" in body and not any("functionResponse" in p for p in parts)
    text = '{"name":"Ada"}' if body.get("generationConfig", {}).get("responseJsonSchema") else "Hello."
    said = {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}} if tools else {"text": text}
    return {"candidates": [{"content": {"role": "model", "parts": [said]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2}, "modelVersion": "x"}


def ollama(body):
    tools = "tools" in body and body["messages"][-1]["role"] != "tool"
    text = '{"name":"Ada"}' if body.get("format") else "Hello."
    message = {"role": "assistant", "content": "" if tools else text}
    if tools:
        message["tool_calls"] = [{"function": {"name": "weather", "arguments": {"city": "Oslo"}}}]
    return {"model": "x", "message": message, "done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2}


class Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        try:
            assert KEY not in str(self.headers), "the platform's key was sent on"
            answer = self.answer(body)
        except Exception as problem:  # Told at the end, whatever the client makes of it.
            PROBLEMS.append(f"{self.path}: {problem!r}")
            answer = {"error": {"message": repr(problem)}}
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def answer(self, body):
        path = self.path
        if path == "/v1/chat/completions":
            assert self.headers["authorization"] == "Bearer provider-key"
            return chat(body)
        if path == "/v1/embeddings":
            vectors = [{"object": "embedding", "index": i, "embedding": [0.5, 1.0]} for i in range(len(body["input"]))]
            if body.get("encoding_format") == "base64":
                for vector in vectors:
                    vector["embedding"] = base64.b64encode(struct.pack("<2f", 0.5, 1.0)).decode()
            return {"object": "list", "model": body["model"], "data": vectors, "usage": {"prompt_tokens": 2, "total_tokens": 2}}
        if path == "/v1/messages":
            assert self.headers["x-api-key"] == "provider-key" and self.headers["anthropic-version"]
            return sse(*message_events(body)) if body.get("stream") else messages(body)
        if path == "/v1/messages/count_tokens":
            return {"input_tokens": 3}
        if path.endswith("/invoke") or path.endswith("/invoke-with-response-stream"):
            assert self.headers["authorization"].startswith("AWS4-HMAC-SHA256 ") and body["anthropic_version"]
            return event_stream(*message_events(body, True)) if path.endswith("stream") else messages(body, True)
        if path.startswith("/v1beta/models/gemini-x:"):
            assert self.headers["x-goog-api-key"] == "provider-key"
            if "batchEmbed" in path:
                return {"embeddings": [{"values": [0.5, 1.0]} for _ in body["requests"]]}
            return sse(gemini(body)) if "stream" in path else gemini(body)
        if path == "/api/embed":
            return {"embeddings": [[0.5, 1.0] for _ in body["input"]], "prompt_eval_count": 2}
        if path == "/api/chat":
            return (json.dumps(ollama(body)) + "\n").encode()
        raise AssertionError("an unknown path")

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
there = f"http://127.0.0.1:{server.server_port}"


def register(name, provider, models, **more):
    body = {"name": name, "provider": provider, "endpoint": there, "models": models, "credentials": {"api_key": "provider-key"}, **more}
    request = urllib.request.Request(f"{ADDRESS}/api/v1/model-providers", json.dumps(body).encode(), {"Authorization": f"Bearer {KEY}"})
    urllib.request.urlopen(request).close()


BEDROCK = "anthropic.claude-3-haiku-20240307-v1:0"
register("openai", "openai", ["gpt-x"])
register("anthropic", "anthropic", ["claude-x"])
register("gemini", "gemini", ["gemini-x"])
register("ollama", "ollama", ["llama-x"])
register("bedrock", "bedrock", [BEDROCK], auth={"type": "AWSSignature", "awsConfig": {"region": "us-east-1"}},
         credentials={"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "provider-key"})
MODELS = ["gpt-x", "claude-x", "gemini-x", "llama-x", BEDROCK]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class Person(BaseModel):
    name: str


def with_openai(model):
    client = openai.OpenAI(base_url=f"{ADDRESS}/v1", api_key=KEY, max_retries=0)
    ask = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]
    reply = client.chat.completions.create(model=model, messages=ask)
    assert reply.choices[0].message.content == "Hello." and reply.usage.total_tokens == 5, reply
    chunks = list(client.chat.completions.create(model=model, messages=ask, stream=True))
    text = "".join(c.choices[0].delta.content or "" for c in chunks)
    assert text == "Hello." and chunks[-1].choices[0].finish_reason == "stop", chunks
    counted = list(client.chat.completions.create(model=model, messages=ask, stream=True, stream_options={"include_usage": True}))
    assert counted[-1].usage.completion_tokens == 2, counted
    tools = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
    reply = client.chat.completions.create(model=model, messages=ask, tools=tools)
    call = reply.choices[0].message.tool_calls[0]
    assert json.loads(call.function.arguments) == {"city": "Oslo"} and reply.choices[0].finish_reason == "tool_calls"
    again = ask + [reply.choices[0].message.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": call.id, "content": "snow"}]
    assert client.chat.completions.create(model=model, messages=again, tools=tools).choices[0].message.content == "Hello."
    with client.chat.completions.stream(model=model, messages=ask, tools=tools) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.tool_calls[0].function.name == "weather", final
    parsed = client.chat.completions.parse(model=model, messages=ask, response_format=Person)
    assert parsed.choices[0].message.parsed == Person(name="Ada"), parsed
    response = client.responses.create(model=model, instructions="Be kind.", input="Hello")
    assert response.output_text == "Hello." and response.usage.total_tokens == 5, response
    events = list(client.responses.create(model=model, input="Hello", stream=True))
    assert events[-1].type == "response.completed" and events[-1].response.output_text == "Hello.", events
    response = client.responses.create(model=model, input="Hello", tools=[{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}])
    assert response.output[0].type == "function_call" and json.loads(response.output[0].arguments) == {"city": "Oslo"}, response
    if model in ("gpt-x", "gemini-x", "llama-x"):
        vectors = client.embeddings.create(model=model, input=["a", "b"]).data
        assert [v.embedding for v in vectors] == [[0.5, 1.0], [0.5, 1.0]], vectors
    assert model in [known.id for known in client.models.list()]


def with_anthropic(model):
    client = anthropic.Anthropic(base_url=ADDRESS, api_key=KEY, max_retries=0)
    ask = dict(model=model, max_tokens=50, system="Be kind.", messages=[{"role": "user", "content": "Hello"}])
    reply = client.messages.create(**ask)
    assert reply.content[0].text == "Hello." and reply.usage.output_tokens == 2, reply
    with client.messages.stream(**ask) as stream:
        assert "".join(stream.text_stream) == "Hello."
        assert stream.get_final_message().stop_reason == "end_turn"
    tools = [{"name": "weather", "input_schema": SCHEMA}]
    reply = client.messages.create(**ask, tools=tools)
    call = next(block for block in reply.content if block.type == "tool_use")
    assert call.input == {"city": "Oslo"} and reply.stop_reason == "tool_use", reply
    ask["messages"] = ask["messages"] + [
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in reply.content]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "snow"}]}]
    assert client.messages.create(**ask, tools=tools).content[0].text == "Hello."
    ask["messages"] = ask["messages"][:1]
    with client.messages.stream(**ask, tools=tools) as stream:
        assert stream.get_final_message().content[0].input == {"city": "Oslo"}
    assert client.messages.count_tokens(model=model, messages=ask["messages"]).input_tokens > 0


for model in MODELS:
    with_openai(model)
    with_anthropic(model)

client = openai.OpenAI(base_url=f"{ADDRESS}/v1", api_key=KEY, max_retries=0)
try:
    client.chat.completions.create(model="nobody", messages=[{"role": "user", "content": "Hello"}])
    raise AssertionError("a model that nobody has was asked")
except openai.NotFoundError as error:
    assert error.response.json()["error"] == 'no provider found for model "nobody"', error
try:
    anthropic.Anthropic(base_url=ADDRESS, auth_token=KEY, api_key=None, max_retries=0).messages.create(
        model="nobody", max_tokens=1, messages=[{"role": "user", "content": "Hello"}])
    raise AssertionError("a model that nobody has was asked")
except anthropic.NotFoundError as error:
    assert "no provider found" in str(error), error
assert not PROBLEMS, PROBLEMS

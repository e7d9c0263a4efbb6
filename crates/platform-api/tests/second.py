"""What users of the second system's published client do, once each."""
from runagent import RunAgentClient
from runagent.client.client import RunAgentExecutionError


def client(tag, agent="support"):
    return RunAgentClient(agent_id=agent, entrypoint_tag=tag, local=False)


def refusal(call):
    try:
        call()
    except RunAgentExecutionError as error:
        return error
    raise AssertionError("it should be refused")


c = client("handler")
assert c.run("me") == "heard me"
assert c.run(message="you") == "heard you"
assert c.run("list") == [1, 2.5, None, {"a": True}]
assert c.run(message="body", n=3)["n"] == 3
assert "no time today" in refusal(lambda: c.run("fail")).message
assert "Entrypoint 'other' not found" in refusal(lambda: client("other").run("me")).message
assert "not found" in refusal(lambda: client("handler", "nobody").run("me")).message

assert list(client("handler_stream").run("me")) == ["heard ", "me"]
assert list(client("handler_stream").run_stream(message="you")) == ["heard ", "you"]
assert "no time today" in refusal(lambda: list(client("handler_stream").run("fail"))).message
assert refusal(lambda: list(client("other_stream").run("me"))).code == "NOT_FOUND"

shown = c.rest_client.get_agent_architecture("support")
assert [entry["tag"] for entry in shown["entrypoints"]] == ["handler", "handler_stream"], shown
print("all of it")

"""Every method of the published SDK, once, as its users call it."""
import sys
from runagents import Client

endpoint, key = sys.argv[1:]
c = Client(endpoint=endpoint, api_key=key)
CODE = 'import os, requests\nrequests.post(os.environ["TOOL_ECHO_TOOL_URL"] + "/echo")\n'

assert c.seed_starter_kit()["status"] == "ok"
assert c.analyze({"agent.py": CODE}).tools, "tools"
c.tools.create("crm", "https://crm.example", description="d", auth_type="APIKey")
assert {tool.name for tool in c.tools.list()} == {"echo-tool", "crm"}
tool = c.tools.get("crm")
assert tool.name == "crm" and tool.base_url == "https://crm.example", tool
assert [model.name for model in c.models.list()] == ["playground-llm"]
assert c.model_spend.get() is not None

result = c.agents.deploy("sdk-agent", source_files={"agent.py": CODE}, required_tools=["echo-tool"],
                         llm_configs=[{"role": "chat", "provider": "openai", "model": "gpt-4o-mini"}])
assert result.agent_name == "sdk-agent" and result.status == "created" and result.message, result
agent = c.agents.get("sdk-agent")
assert agent.name == "sdk-agent" and agent.status == 'Pending', agent
assert [agent.name for agent in c.agents.list()] == ["sdk-agent"]
assert c.agents.get_config("sdk-agent").policies == ["sdk-agent-echo-tool-auto"]
assert c.agents.update_config("sdk-agent", system_prompt="Be kind.").system_prompt == "Be kind."

policy = {"name": "read-crm", "spec": {"policies": [
    {"permission": "allow", "resource": "https://crm.example/*", "operations": ["GET"]}]}}
assert c.policies.apply(policy).name == "read-crm"
assert c.policies.get("read-crm").name == "read-crm"
assert len(c.policies.list()) == 2
assert c.policies.translate("allow reads on crm")[0].permission == "allow"
c.policies.delete("read-crm")

oidc = {"name": "oidc", "spec": {"host": "a.example", "userIDClaim": "email", "identityProvider": {
    "issuer": "https://issuer.example", "jwksUri": "https://issuer.example/jwks"}}}
assert c.identity_providers.apply(oidc).name == "oidc"
assert c.identity_providers.get("oidc").name == "oidc"
assert len(c.identity_providers.list()) == 1
c.identity_providers.delete("oidc")

hook = c.approval_connectors.apply({"name": "hook", "endpoint": "http://127.0.0.1:9/hook", "type": "webhook"})
assert c.approval_connectors.get(hook.id).name == "hook"
assert len(c.approval_connectors.list()) == 1
assert c.approval_connectors.test(hook.id).status == "unhealthy"
assert c.approval_connectors.defaults_get() is not None
assert c.approval_connectors.defaults_set(timeout_seconds=5) is not None
assert c.approval_connectors.activity(10) is not None
c.approval_connectors.delete(hook.id)

run = c.post("/runs", {"agent_id": "sdk-agent", "user_id": "u"})
assert c.runs.get(run["id"]).id == run["id"]
assert [r.id for r in c.runs.list()] == [run["id"]]
c.post(f"/runs/{run['id']}/events", {"type": "USER_MESSAGE", "actor": "u"})
assert [e.type for e in c.runs.events(run["id"])][-1] == "USER_MESSAGE"
assert c.runs.timeline(run["id"]) is not None
assert c.runs.export(run["id"]) is not None
for decide in (c.approvals.approve, c.approvals.reject):
    asked = c.post("/approvals/requests", {"subject": "u", "tool_id": "crm", "agent_id": "sdk-agent", "run_id": run["id"]})
    assert any(r.id == asked["id"] for r in c.approvals.list())
    decided = decide(asked["id"])
    assert decided.status in ("APPROVED", "REJECTED"), decided
assert c.runs.wait(run["id"], timeout_seconds=5).status == "FAILED"

entries = c.catalog.list()
first = entries.items[0]
assert c.catalog.get(first.id).id == first.id
assert c.catalog.versions(first.id).versions
assert c.catalog.deploy(first.id, name="from-catalog").agent_name == "from-catalog"

plan = {"plan_id": "p", "actions": [{"type": "tool.upsert", "idempotency_key": "k1", "params": {
    "name": "planned", "spec": {"connection": {"baseUrl": "https://planned.example"}}}}]}
assert c.actions.validate(plan).valid
assert c.actions.apply(plan).applied_count == 1
assert "planned" in str(c.export_context())
print("every method answered")

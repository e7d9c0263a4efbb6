"""Every tool of the published SDK's MCP server, once, by a real client over stdio."""
import asyncio
import json
import os
import sys
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from runagents import Client

endpoint, key, home = sys.argv[1:]
CODE = 'import os, requests\nrequests.post(os.environ["TOOL_ECHO_TOOL_URL"] + "/echo")\n'
# What the server has no tool for.
direct = Client(endpoint=endpoint, api_key=key)
env = {"RUNAGENTS_ENDPOINT": endpoint, "RUNAGENTS_API_KEY": key, "HOME": home, "PATH": os.environ.get("PATH", "")}
server = StdioServerParameters(command=sys.executable, args=["-m", "runagents.mcp"], env=env)


def a_run():
    run = direct.post("/runs", {"agent_id": "by-mcp", "user_id": "u"})["id"]
    direct.post(f"/runs/{run}/events", {"type": "USER_MESSAGE", "actor": "u"})
    return run


def a_request(run):
    asked = {"subject": "u", "tool_id": "crm", "agent_id": "by-mcp", "run_id": run}
    return direct.post("/approvals/requests", asked)["id"]


async def every_tool(session):
    offered = {tool.name for tool in (await session.list_tools()).tools}
    called = set()

    async def call(name, /, **arguments):
        result = await session.call_tool(name, arguments)
        text = "".join(part.text for part in result.content)
        assert not result.isError, (name, text)
        value = json.loads(text)
        # How the server says that it was refused.
        assert not (isinstance(value, dict) and "error" in value and "detail" in value), (name, value)
        called.add(name)
        return value

    def names(items):
        return [item["name"] for item in items]

    assert (await call("seed_starter_kit"))["status"] == "ok"
    assert (await call("analyze_code", files={"agent.py": CODE}))["tools"][0]["name"] == "echo-tool"
    assert (await call("create_tool", name="crm", base_url="https://crm.example"))["name"] == "crm"
    assert names(await call("list_tools")) == ["echo-tool", "crm"]
    assert names(await call("list_models")) == ["playground-llm"]

    deployed = await call("deploy_agent", agent_name="by-mcp", source_files={"agent.py": CODE},
                          required_tools=["echo-tool"], system_prompt="Be kind.",
                          llm_configs=[{"role": "chat", "provider": "openai", "model": "gpt-4o-mini"}])
    assert (deployed["agent_name"], deployed["status"]) == ("by-mcp", "created"), deployed
    assert names(await call("list_agents")) == ["by-mcp"]
    assert (await call("get_agent", name="by-mcp"))["name"] == "by-mcp"
    config = await call("get_agent_config", name="by-mcp")
    assert config["policies"] == ["by-mcp-echo-tool-auto"], config
    changed = await call("update_agent_config", name="by-mcp", config={"system_prompt": "Be brief."})
    assert changed["system_prompt"] == "Be brief.", changed
    assert "summary" in await call("get_model_spend")

    policy = {"name": "read-crm", "spec": {"policies": [
        {"permission": "allow", "resource": "https://crm.example/*", "operations": ["GET"]}]}}
    assert (await call("apply_policy", policy=policy))["name"] == "read-crm"
    assert names(await call("list_policies")) == ["by-mcp-echo-tool-auto", "read-crm"]
    assert (await call("get_policy", name="read-crm"))["spec"]["policies"][0]["permission"] == "allow"
    assert (await call("translate_policy", text="allow reads on crm"))["rules"][0]["permission"] == "allow"
    await call("delete_policy", name="read-crm")

    oidc = {"name": "oidc", "spec": {"host": "a.example", "userIDClaim": "email", "identityProvider": {
        "issuer": "https://issuer.example", "jwksUri": "https://issuer.example/jwks"}}}
    assert (await call("apply_identity_provider", identity_provider=oidc))["name"] == "oidc"
    assert names(await call("list_identity_providers")) == ["oidc"]
    assert (await call("get_identity_provider", name="oidc"))["spec"]["host"] == "a.example"
    await call("delete_identity_provider", name="oidc")

    hook = {"name": "hook", "endpoint": "http://127.0.0.1:9/hook", "type": "webhook"}
    hook = (await call("apply_approval_connector", connector=hook))["id"]
    assert names(await call("list_approval_connectors")) == ["hook"]
    assert (await call("get_approval_connector", connector_id=hook))["name"] == "hook"
    assert (await call("test_approval_connector", connector_id=hook))["status"] == "unhealthy"
    assert "default_delivery_mode" in await call("get_approval_connector_defaults")
    assert (await call("set_approval_connector_defaults", timeout_seconds=7))["default_timeout_seconds"] == 7
    assert isinstance(await call("list_approval_connector_activity", limit=5), list)
    await call("delete_approval_connector", connector_id=hook)

    run = a_run()
    assert [one["id"] for one in await call("list_runs", agent="by-mcp", status="RUNNING", user="u")] == [run]
    assert (await call("get_run", run_id=run))["status"] == "RUNNING"
    assert [event["type"] for event in await call("get_run_events", run_id=run)][-1] == "USER_MESSAGE"
    assert await call("get_run_timeline", run_id=run)
    assert (await call("approve_request", request_id=a_request(run), scope="run"))["status"] == "APPROVED"
    assert (await call("reject_request", request_id=a_request(run)))["status"] == "REJECTED"
    assert (await call("wait_for_run", run_id=run, timeout_seconds=5))["status"] == "FAILED"
    assert (await call("export_run", run_id=run))["run"]["id"] == run

    entry = (await call("list_catalog_agents", categories=["getting-started"]))["items"][0]["id"]
    versions = (await call("list_catalog_versions", agent_id=entry))["versions"]
    manifest = await call("get_catalog_agent", agent_id=entry, version=versions[-1]["version"])
    assert manifest["version"] == versions[-1]["version"], manifest
    assert (await call("deploy_catalog_agent", agent_id=entry, name="by-catalog"))["agent_name"] == "by-catalog"

    plan = {"plan_id": "p", "actions": [{"type": "tool.upsert", "idempotency_key": "k1", "params": {
        "name": "planned", "spec": {"connection": {"baseUrl": "https://planned.example"}}}}]}
    assert (await call("validate_plan", plan=plan))["valid"]
    assert (await call("apply_plan", plan=plan))["applied_count"] == 1
    assert "planned" in str(await call("export_context"))
    assert called == offered, called ^ offered
    return len(called)


async def main():
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        print(f"all {await every_tool(session)} tools answered")


asyncio.run(main())

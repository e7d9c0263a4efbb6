"""A session of a coding assistant: list the tools, analyze, explain, ask for policies."""

import asyncio
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

SECRET = "sk_live_4eC39HqLyjWDarjtT1zdp7dcAbCdEfGh"
AGENT = f'''import requests

API_KEY = "{SECRET}"


def refund(id):
    requests.post(f"https://api.stripe.com/v1/charges/{{id}}/refund", headers={{"X-Key": API_KEY}}, timeout=9)
'''


async def main(binary: str) -> None:
    server = StdioServerParameters(command=binary, args=["mcp"])
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
        assert sorted(tools) == ["analyze", "explain", "policy"], tools
        for tool in tools.values():
            assert tool.output_schema and tool.annotations.read_only_hint, tool

        result = await session.call_tool("analyze", {"files": {"agent.py": AGENT}})
        assert not result.is_error, result
        found = result.structured_content
        assert found["hosts"] == ["api.stripe.com"] and found["tools"][0]["name"] == "stripe-api", found
        assert "hardcoded-secret" in [finding["rule"] for finding in found["report"]["findings"]], found
        said = repr(result)
        for at in range(len("sk_live_"), len(SECRET) - 8):
            assert SECRET[at : at + 8] not in said, said

        result = await session.call_tool("policy", {"files": {"agent.py": AGENT}, "agent": "billing"})
        policy = result.structured_content["policies"][0]
        assert policy["name"] == "billing-stripe-api-auto", policy
        assert policy["rules"][0]["resource"] == "https://api.stripe.com/v1/charges/*/refund", policy
        assert policy["rules"][0]["evidence"] == ["agent.py:7 requests.post"], policy

        result = await session.call_tool("explain", {"rule": "unbounded-url"})
        assert "## Fix" in result.structured_content["text"], result
        result = await session.call_tool("explain", {"rule": "unbounded-uri"})
        assert result.is_error and "did you mean `unbounded-url`?" in repr(result.content), result
        result = await session.call_tool("analyze", {"files": {"../x.py": ""}})
        assert result.is_error and "leaves the project" in repr(result.content), result
    print("served")


asyncio.run(main(sys.argv[1]))

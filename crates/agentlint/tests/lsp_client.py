"""A session of an editor: open, read, type, hover, repair, leave."""

import asyncio
import pathlib
import sys

from lsprotocol import types
from pygls.lsp.client import LanguageClient

SECRET = "sk_live_4eC39HqLyjWDarjtT1zdp7dcAbCdEfGh"
BAD = f'é = "ü"; API_KEY = "{SECRET}"\n'
PLAIN = 'import requests\n\nrequests.get("http://api.northwind-crm.io/v1", timeout=9)\n'


async def main(binary: str, folder: str) -> None:
    client = LanguageClient("test", "1")
    arrived: dict[str, list[types.Diagnostic]] = {}
    changed = asyncio.Condition()
    everything: list[str] = []

    @client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
    async def diagnostics(params: types.PublishDiagnosticsParams) -> None:
        everything.append(repr(params))
        async with changed:
            arrived[params.uri] = params.diagnostics
            changed.notify_all()

    async def until(uri: str, rules: list[str]) -> None:
        def found() -> bool:
            return uri in arrived and [d.code for d in arrived[uri]] == rules

        async with changed:
            await asyncio.wait_for(changed.wait_for(found), 60)

    root = pathlib.Path(folder).resolve()
    await client.start_io(binary, "lsp")
    result = await client.initialize_async(
        types.InitializeParams(
            capabilities=types.ClientCapabilities(),
            workspace_folders=[types.WorkspaceFolder(root.as_uri(), "test")],
        )
    )
    assert result.server_info.name == "agentlint" and result.capabilities.position_encoding == "utf-16", result
    client.initialized(types.InitializedParams())
    agent = (root / "agent.py").as_uri()
    await until(agent, ["plain-http"])

    document = types.TextDocumentItem(agent, "python", 1, BAD)
    client.text_document_did_open(types.DidOpenTextDocumentParams(document))
    await until(agent, ["hardcoded-secret"])
    place = arrived[agent][0].range
    assert (place.start.line, place.start.character) == (0, 20), place
    text = types.TextDocumentIdentifier(agent)
    hover = await client.text_document_hover_async(types.HoverParams(text, place.start))
    everything.append(repr(hover))
    assert "sk_live_****" in hover.contents.value and "AB" not in hover.contents.value, hover
    context = types.CodeActionContext(arrived[agent])
    actions = await client.text_document_code_action_async(types.CodeActionParams(text, place, context))
    everything.append(repr(actions))
    assert [a.title for a in actions] == [
        "read it from the environment as STRIPE_API_KEY",
        "ignore hardcoded-secret here",
    ] or actions[0].is_preferred, actions
    edits = actions[0].edit.changes[agent]
    lines = BAD.splitlines(keepends=True)
    for edit in sorted(edits, key=lambda e: (e.range.start.line, e.range.start.character), reverse=True):
        assert edit.range.start.line == edit.range.end.line
        line = lines[edit.range.start.line]
        lines[edit.range.start.line] = (
            line[: edit.range.start.character] + edit.new_text + line[edit.range.end.character :]
        )
    fixed = "".join(lines)
    assert "os.environ[" in fixed and SECRET not in fixed, fixed

    version = types.VersionedTextDocumentIdentifier(version=2, uri=agent)
    change = types.TextDocumentContentChangeWholeDocument(text=fixed)
    client.text_document_did_change(types.DidChangeTextDocumentParams(version, [change]))
    await until(agent, [])

    # Ranges, each in what the one before it left; columns are UTF-16 units.
    def change(line: int, start: int, end: int, text: str) -> types.TextDocumentContentChangePartial:
        span = types.Range(types.Position(line, start), types.Position(line, end))
        return types.TextDocumentContentChangePartial(range=span, text=text)

    last = fixed.count("\n")
    changes = [
        change(last, 0, 0, 's = "\U0001f600"; x = 1\n'),
        change(last, 10, 15, 'requests.get("http://api.northwind-crm.io/v1", timeout=9)'),
        change(0, 0, 0, "import requests\n"),
    ]
    version = types.VersionedTextDocumentIdentifier(version=3, uri=agent)
    client.text_document_did_change(types.DidChangeTextDocumentParams(version, changes))
    await until(agent, ["plain-http"])
    place = arrived[agent][0].range
    assert (place.start.line, place.start.character) == (last + 1, 23), place
    client.text_document_did_close(types.DidCloseTextDocumentParams(text))
    await until(agent, ["plain-http"])
    await client.shutdown_async(None)
    client.exit(None)
    for message in everything:
        for at in range(len("sk_live_"), len(SECRET) - 8):
            assert SECRET[at : at + 8] not in message, message
    print("served")


asyncio.run(main(sys.argv[1], sys.argv[2]))

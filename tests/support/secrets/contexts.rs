//! Where credentials stand in the files of agents: written from what agents look like, before the detector was asked.

/// One context.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// A name for reports.
    pub id: &'static str,
    /// File name.
    pub file: &'static str,
    /// Text: `{K}` the credential, `{K1}` `{K2}` `{K3}` its parts, `{B}` its base64, `{X}` its hex, `{E}` the variable, `{e}`
    /// the same in lower case, `{n}` in camel case, `{d}` with dashes, `{H}` a host, `{C}` a client, `{P}` the provider.
    pub text: &'static str,
    /// More than one name beside one value.
    pub hard: bool,
}

pub(super) const fn plain(id: &'static str, file: &'static str, text: &'static str) -> Context {
    Context { id, file, text, hard: false }
}

pub(super) const fn hard(id: &'static str, file: &'static str, text: &'static str) -> Context {
    Context { id, file, text, hard: true }
}

/// All contexts.
pub const CONTEXTS: &[Context] = &[
    // Python, a name beside a value.
    plain(
        "py assignment",
        "agent.py",
        "import os\nimport logging\n\nlogger = logging.getLogger(__name__)\n{E} = \"{K}\"\nMODEL = \"gpt-4o-mini\"\n",
    ),
    plain("py annotated", "config.py", "from typing import Final\n\n{E}: Final[str] = \"{K}\"\nTIMEOUT: int = 30\n"),
    plain("py single quotes", "settings.py", "DEBUG = True\n{e} = '{K}'  # production\n"),
    plain("py keyword", "agent.py", "from lib import {C}\n\nclient = {C}(\n    api_key=\"{K}\",\n    timeout=30,\n)\n"),
    plain("py class attribute", "config.py", "class Config:\n    retries = 3\n    {E} = \"{K}\"\n"),
    plain(
        "py self",
        "agent.py",
        "class Agent:\n    def __init__(self):\n        self.{e} = \"{K}\"\n        self.history = []\n",
    ),
    plain(
        "py dict",
        "config.py",
        "CONFIG = {\n    \"model\": \"gpt-4o\",\n    \"{e}\": \"{K}\",\n    \"temperature\": 0.2,\n}\n",
    ),
    plain("py fallback if", "agent.py", "import os\n\n{e} = os.environ.get(\"{E}\")\nif not {e}:\n    {e} = \"{K}\"\n"),
    hard(
        "py nested dict",
        "config.py",
        "PROVIDERS = {\n    \"{P}\": {\n        \"timeout\": 10,\n        \"{e}\": \"{K}\",\n    },\n}\n",
    ),
    hard(
        "py environ",
        "agent.py",
        "import os\n\nos.environ[\"{E}\"] = \"{K}\"\nos.environ[\"TOKENIZERS_PARALLELISM\"] = \"false\"\n",
    ),
    hard("py environ single", "main.py", "import os\nos.environ['{E}']='{K}'\n"),
    hard("py setdefault", "agent.py", "import os\n\nos.environ.setdefault(\"{E}\", \"{K}\")\n"),
    hard(
        "py environ update",
        "agent.py",
        "import os\n\nos.environ.update({\"LOG_LEVEL\": \"info\", \"{E}\": \"{K}\"})\n",
    ),
    hard("py putenv", "agent.py", "import os\n\nos.putenv(\"{E}\", \"{K}\")\n"),
    hard("py getenv default", "agent.py", "import os\n\nkey = os.getenv(\"{E}\", \"{K}\")\n"),
    hard("py get default", "agent.py", "import os\n\nclient_key = os.environ.get(\"{E}\", default=\"{K}\")\n"),
    hard("py or", "agent.py", "import os\n\nkey = os.getenv(\"{E}\") or \"{K}\"\n"),
    hard(
        "py conditional",
        "agent.py",
        "import os\n\nkey = os.environ[\"{E}\"] if \"{E}\" in os.environ else \"{K}\"\n",
    ),
    hard("py parameter", "tools.py", "def connect(url: str, {e}: str = \"{K}\") -> None:\n    \"\"\"Connects.\"\"\"\n"),
    hard(
        "py argparse",
        "main.py",
        "import argparse\n\nparser = argparse.ArgumentParser()\nparser.add_argument(\"--model\", default=\"gpt-4o\")\nparser.add_argument(\"--{d}\", type=str, default=\"{K}\", help=\"the key\")\n",
    ),
    hard(
        "py click",
        "main.py",
        "import click\n\n@click.command()\n@click.option(\"--{d}\", default=\"{K}\", help=\"Key.\")\ndef main({e}):\n    pass\n",
    ),
    hard(
        "py typer",
        "main.py",
        "import typer\n\ndef main({e}: str = typer.Option(\"{K}\", envvar=\"{E}\")):\n    pass\n",
    ),
    hard(
        "py pydantic",
        "settings.py",
        "from pydantic_settings import BaseSettings\n\nclass Settings(BaseSettings):\n    region: str = \"eu\"\n    {e}: str = \"{K}\"\n",
    ),
    hard(
        "py pydantic field",
        "settings.py",
        "from pydantic import BaseModel, Field\n\nclass Settings(BaseModel):\n    {e}: str = Field(default=\"{K}\", description=\"key\")\n",
    ),
    hard("py secret string", "settings.py", "from pydantic import SecretStr\n\n{e} = SecretStr(\"{K}\")\n"),
    hard(
        "py dataclass",
        "settings.py",
        "from dataclasses import dataclass, field\n\n@dataclass\nclass Settings:\n    {e}: str = field(default=\"{K}\")\n",
    ),
    hard("py setattr", "agent.py", "import settings\n\nsetattr(settings, \"{E}\", \"{K}\")\n"),
    hard("py tuple", "agent.py", "REGION, {E} = \"eu-west-1\", \"{K}\"\n"),
    hard("py walrus", "agent.py", "if ({e} := \"{K}\"):\n    connect({e})\n"),
    hard(
        "py keyed list",
        "agent.py",
        "BASE = \"https://{H}/v1\"\nHEADERS = [(\"Accept\", \"application/json\"), (\"X-Api-Key\", \"{K}\")]\n",
    ),
    hard("py dataclass call", "agent.py", "settings = Settings(region=\"eu\", {e}=\"{K}\", retries=2)\n"),
    hard("py monkeypatch", "conftest.py", "def setup(monkeypatch):\n    monkeypatch.setenv(\"{E}\", \"{K}\")\n"),
    // Python, on the way to a request.
    hard(
        "py bearer",
        "tools.py",
        "import requests\n\ndef call(q):\n    return requests.get(\n        \"https://{H}/v1/search\",\n        headers={\"Authorization\": \"Bearer {K}\", \"Accept\": \"application/json\"},\n        params={\"q\": q},\n    )\n",
    ),
    hard(
        "py header variable",
        "tools.py",
        "import httpx\n\nTOKEN = \"{K}\"\nBASE = \"https://{H}/v1\"\n\ndef call():\n    headers = {\"Authorization\": f\"Bearer {TOKEN}\"}\n    return httpx.post(f\"{BASE}/run\", headers=headers, json={})\n",
    ),
    hard(
        "py api key header",
        "tools.py",
        "import requests\n\nr = requests.post(\"https://{H}/v1/run\", headers={\"x-api-key\": \"{K}\"}, json={\"id\": 3})\n",
    ),
    hard(
        "py session header",
        "tools.py",
        "import requests\n\ns = requests.Session()\ns.headers[\"X-API-Key\"] = \"{K}\"\ns.get(\"https://{H}/v1/me\")\n",
    ),
    hard(
        "py header update",
        "tools.py",
        "import requests\n\nsession = requests.Session()\nsession.headers.update({\"Authorization\": \"Token {K}\"})\nsession.get(\"https://{H}/v1/me\")\n",
    ),
    hard(
        "py auth tuple",
        "tools.py",
        "import requests\n\nrequests.get(\"https://{H}/v1/items\", auth=(\"agent\", \"{K}\"), timeout=5)\n",
    ),
    hard(
        "py basic auth",
        "tools.py",
        "from requests.auth import HTTPBasicAuth\nimport requests\n\nrequests.get(\"https://{H}/v1/items\", auth=HTTPBasicAuth(\"agent\", \"{K}\"))\n",
    ),
    hard("py query", "tools.py", "import requests\n\nrequests.get(\"https://{H}/v1/items?limit=10&api_key={K}\")\n"),
    hard(
        "py params",
        "tools.py",
        "import requests\n\nrequests.get(\"https://{H}/v1/items\", params={\"limit\": 10, \"api_key\": \"{K}\"})\n",
    ),
    hard(
        "py variable to client",
        "agent.py",
        "from lib import {C}\n\nthing = \"{K}\"\n\nclient = {C}(api_key=thing)\n",
    ),
    // Python, put together.
    hard("py adjacent", "agent.py", "{E} = (\n    \"{K1}\"\n    \"{K2}\"\n)\n"),
    hard("py plus", "agent.py", "{E} = \"{K1}\" + \"{K2}\"\n"),
    hard("py plus variables", "agent.py", "head = \"{K1}\"\ntail = \"{K2}\"\n{E} = head + tail\n"),
    hard("py join", "agent.py", "{E} = \"\".join([\"{K1}\", \"{K2}\", \"{K3}\"])\n"),
    hard("py f-string", "agent.py", "PART = \"{K1}\"\n{E} = f\"{PART}{K2}\"\n"),
    hard("py percent", "agent.py", "{E} = \"%s%s\" % (\"{K1}\", \"{K2}\")\n"),
    hard("py format", "agent.py", "{E} = \"{}{}\".format(\"{K1}\", \"{K2}\")\n"),
    hard("py backslash", "agent.py", "{E} = \"{K1}\" \\\n    \"{K2}\"\n"),
    hard("py base64", "agent.py", "import base64\n\n{E} = base64.b64decode(\"{B}\").decode()\n"),
    hard(
        "py base64 name",
        "agent.py",
        "import base64\n\n_RAW = \"{B}\"\n{E} = base64.b64decode(_RAW).decode(\"utf-8\")\n",
    ),
    hard("py hex", "agent.py", "{E} = bytes.fromhex(\"{X}\").decode()\n"),
    // Python, said beside the code.
    plain("py comment", "agent.py", "import os\n\n# {E} = \"{K}\"\n{E} = os.environ[\"{E}\"]\n"),
    hard("py trailing comment", "agent.py", "import os\n\nkey = os.environ[\"{E}\"]  # {E}={K}\n"),
    hard(
        "py docstring",
        "agent.py",
        "def run():\n    \"\"\"Runs the agent.\n\n    Before it, export {E}={K}\n    \"\"\"\n",
    ),
    hard(
        "py prompt",
        "agent.py",
        "SYSTEM = \"\"\"You are a sales agent.\nWhen you call the service, send {E}: {K} with it.\nBe brief.\"\"\"\n",
    ),
    hard("py command", "agent.py", "import subprocess\n\nsubprocess.run(\"export {E}={K} && ./run.sh\", shell=True)\n"),
    hard("py json text", "agent.py", "import json\n\nconf = json.loads('{\"model\": \"gpt-4o\", \"{e}\": \"{K}\"}')\n"),
    // JavaScript and TypeScript.
    plain("js const", "agent.js", "const fs = require('fs');\n\nconst {n} = '{K}';\n"),
    plain("ts object", "config.ts", "export const config = {\n  model: 'gpt-4o',\n  {n}: '{K}',\n};\n"),
    plain("js client", "agent.mjs", "import { {C} } from 'lib';\n\nconst client = new {C}({ apiKey: '{K}' });\n"),
    hard(
        "js nested object",
        "config.js",
        "module.exports = {\n  {P}: {\n    region: 'eu',\n    apiKey: '{K}',\n  },\n};\n",
    ),
    hard("js process.env", "index.js", "process.env.{E} = '{K}';\n"),
    hard("js process.env key", "index.js", "process.env['{E}'] = \"{K}\";\n"),
    hard("ts or", "agent.ts", "const key: string = process.env.{E} || '{K}';\n"),
    hard("ts nullish", "agent.ts", "export const client = create({ apiKey: process.env.{E} ?? \"{K}\" });\n"),
    hard(
        "ts class field",
        "agent.ts",
        "export class Agent {\n  private readonly {n}: string = '{K}';\n\n  run(): void {}\n}\n",
    ),
    hard("ts static", "agent.ts", "class Keys {\n  static {n} = '{K}';\n}\n"),
    hard(
        "ts bearer",
        "tools.ts",
        "export async function call() {\n  return fetch('https://{H}/v1/run', {\n    method: 'POST',\n    headers: { Authorization: 'Bearer {K}', 'Content-Type': 'application/json' },\n  });\n}\n",
    ),
    hard(
        "ts template",
        "tools.ts",
        "const token = `{K}`;\nawait fetch(`https://{H}/v1/me`, { headers: { Authorization: `Bearer ${token}` } });\n",
    ),
    hard(
        "ts axios",
        "tools.ts",
        "import axios from 'axios';\n\nconst api = axios.create({ baseURL: 'https://{H}', headers: { 'X-API-Key': '{K}' } });\n",
    ),
    hard(
        "ts header set",
        "tools.ts",
        "const headers = new Headers();\nheaders.set('X-Api-Key', '{K}');\nawait fetch('https://{H}/v1', { headers });\n",
    ),
    hard(
        "ts zod",
        "env.ts",
        "import { z } from 'zod';\n\nexport const env = z.object({\n  PORT: z.coerce.number().default(3000),\n  {E}: z.string().min(1).default('{K}'),\n}).parse(process.env);\n",
    ),
    hard("ts parameter", "agent.ts", "export function connect(url: string, {n} = '{K}') {\n  return url;\n}\n"),
    hard("js plus", "agent.js", "const {n} = '{K1}' +\n  '{K2}';\n"),
    hard("js join", "agent.js", "const {n} = ['{K1}', '{K2}'].join('');\n"),
    hard("js template parts", "agent.js", "const head = '{K1}';\nconst {n} = `${head}{K2}`;\n"),
    hard("js buffer", "agent.js", "const {n} = Buffer.from('{B}', 'base64').toString('utf8');\n"),
    hard("js atob", "agent.js", "const {n} = atob('{B}');\n"),
    plain("js comment", "agent.js", "// const {n} = '{K}';\nconst {n} = process.env.{E};\n"),
    hard("js block comment", "agent.js", "/*\n * For local runs: {E}={K}\n */\nrun();\n"),
    // Configuration.
    plain("env", ".env", "LOG_LEVEL=debug\n{E}={K}\nPORT=8080\n"),
    plain("env export", ".env.local", "export LOG_LEVEL=debug\nexport {E}=\"{K}\"\n"),
    hard("env commented", ".env.production", "# old: {E}={K}\n{E}=${{E}}\n"),
    hard("env spaces", "prod.env", "{E} = '{K}' # rotate in May\n"),
    plain("yaml", "config.yaml", "model: gpt-4o\n{e}: {K}\nretries: 3\n"),
    hard("yaml nested", "config.yml", "providers:\n  {P}:\n    timeout: 10\n    {e}: \"{K}\"\n"),
    hard(
        "yaml pair",
        "deployment.yaml",
        "spec:\n  containers:\n    - name: agent\n      image: acme/agent:1.2\n      env:\n        - name: LOG_LEVEL\n          value: debug\n        - name: {E}\n          value: \"{K}\"\n",
    ),
    hard("yaml pair unquoted", "deploy.yml", "env:\n  - name: {E}\n    value: {K}\n"),
    hard(
        "k8s secret",
        "secret.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: agent\nstringData:\n  {E}: {K}\n",
    ),
    hard(
        "k8s secret data",
        "secret.yml",
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: agent\ntype: Opaque\ndata:\n  {E}: {B}\n",
    ),
    plain(
        "compose map",
        "docker-compose.yml",
        "services:\n  agent:\n    build: .\n    environment:\n      LOG_LEVEL: info\n      {E}: {K}\n",
    ),
    plain(
        "compose list",
        "compose.yaml",
        "services:\n  agent:\n    environment:\n      - LOG_LEVEL=info\n      - {E}={K}\n",
    ),
    hard("compose list quoted", "docker-compose.yaml", "services:\n  agent:\n    environment:\n      - \"{E}={K}\"\n"),
    hard(
        "workflow",
        ".github/workflows/run.yml",
        "jobs:\n  run:\n    runs-on: ubuntu-latest\n    env:\n      {E}: {K}\n    steps:\n      - run: python agent.py\n",
    ),
    plain("json", "config.json", "{\n  \"model\": \"gpt-4o\",\n  \"{e}\": \"{K}\"\n}\n"),
    hard(
        "json nested",
        "settings.json",
        "{\n  \"providers\": {\n    \"{P}\": {\n      \"apiKey\": \"{K}\"\n    }\n  }\n}\n",
    ),
    hard("json one line", "launch.json", "{\"env\":{\"LOG\":\"1\",\"{E}\":\"{K}\"},\"args\":[]}\n"),
    hard(
        "json pair",
        "task.json",
        "{\n  \"environment\": [\n    {\n      \"name\": \"{E}\",\n      \"value\": \"{K}\"\n    }\n  ]\n}\n",
    ),
    hard(
        "mcp env",
        ".cursor/mcp.json",
        "{\n  \"mcpServers\": {\n    \"search\": {\n      \"command\": \"npx\",\n      \"args\": [\"-y\", \"search-mcp\"],\n      \"env\": {\n        \"{E}\": \"{K}\"\n      }\n    }\n  }\n}\n",
    ),
    hard(
        "mcp args",
        "mcp.json",
        "{\n  \"mcpServers\": {\n    \"search\": {\n      \"command\": \"npx\",\n      \"args\": [\"search-mcp\", \"--{d}\", \"{K}\"]\n    }\n  }\n}\n",
    ),
    hard(
        "mcp args equals",
        ".mcp.json",
        "{\n  \"mcpServers\": {\n    \"search\": {\n      \"command\": \"uvx\",\n      \"args\": [\"search-mcp\", \"--{d}={K}\"]\n    }\n  }\n}\n",
    ),
    hard(
        "mcp header",
        ".vscode/mcp.json",
        "{\n  \"servers\": {\n    \"crm\": {\n      \"type\": \"http\",\n      \"url\": \"https://{H}/mcp\",\n      \"headers\": {\"Authorization\": \"Bearer {K}\"}\n    }\n  }\n}\n",
    ),
    hard(
        "claude settings",
        ".claude/settings.json",
        "{\n  \"env\": {\n    \"{E}\": \"{K}\"\n  },\n  \"permissions\": {\"allow\": []}\n}\n",
    ),
    plain("toml", "config.toml", "[agent]\nmodel = \"gpt-4o\"\n{e} = \"{K}\"\n"),
    hard("toml section", ".streamlit/secrets.toml", "[{P}]\napi_key = \"{K}\"\n"),
    plain("ini", "config.ini", "[agent]\n{e} = {K}\nretries = 2\n"),
    hard("properties", "application.properties", "agent.model=gpt-4o\nagent.{d}={K}\n"),
    hard("terraform", "main.tf", "variable \"{e}\" {\n  type    = string\n  default = \"{K}\"\n}\n"),
    // Commands, prose, notebooks.
    plain("dockerfile env", "Dockerfile", "FROM python:3.12-slim\nENV {E}={K}\nCMD [\"python\", \"agent.py\"]\n"),
    hard("dockerfile space", "Dockerfile", "FROM python:3.12-slim\nENV {E} {K}\n"),
    hard("dockerfile arg", "Dockerfile", "FROM node:20\nARG {E}=\"{K}\"\nRUN npm ci\n"),
    plain("shell export", "run.sh", "#!/bin/sh\nset -e\nexport {E}=\"{K}\"\npython agent.py\n"),
    hard("shell prefix", "run.sh", "#!/bin/sh\n{E}={K} python agent.py --verbose\n"),
    hard("shell flag", "deploy.sh", "#!/bin/sh\nagent deploy --{d} {K} --region eu\n"),
    hard("docker run", "start.sh", "docker run -p 80:80 -e {E}={K} acme/agent:1.2\n"),
    hard("curl bearer", "test.sh", "curl -s https://{H}/v1/run -H \"Authorization: Bearer {K}\" -d '{}'\n"),
    hard("curl header", "test.sh", "curl -s -H 'X-API-Key: {K}' https://{H}/v1/run\n"),
    hard("curl login", "test.sh", "curl -u agent:{K} https://{H}/v1/run\n"),
    hard("makefile", "Makefile", "run:\n\t{E}={K} python agent.py\n"),
    hard("readme", "README.md", "# Agent\n\nSet the key first:\n\n```bash\nexport {E}={K}\n```\n"),
    hard(
        "notebook",
        "agent.ipynb",
        "{\n \"cells\": [\n  {\n   \"cell_type\": \"code\",\n   \"execution_count\": 1,\n   \"metadata\": {},\n   \"outputs\": [],\n   \"source\": [\n    \"import os\\n\",\n    \"os.environ[\\\"{E}\\\"] = \\\"{K}\\\"\\n\"\n   ]\n  }\n ],\n \"metadata\": {},\n \"nbformat\": 4,\n \"nbformat_minor\": 5\n}\n",
    ),
    hard(
        "notebook magic",
        "agent.ipynb",
        "{\n \"cells\": [\n  {\n   \"cell_type\": \"code\",\n   \"execution_count\": 1,\n   \"metadata\": {},\n   \"outputs\": [],\n   \"source\": [\n    \"%env {E}={K}\"\n   ]\n  }\n ],\n \"metadata\": {},\n \"nbformat\": 4,\n \"nbformat_minor\": 5\n}\n",
    ),
    hard(
        "notebook output",
        "agent.ipynb",
        "{\n \"cells\": [\n  {\n   \"cell_type\": \"code\",\n   \"execution_count\": 1,\n   \"metadata\": {},\n   \"outputs\": [\n    {\n     \"name\": \"stdout\",\n     \"output_type\": \"stream\",\n     \"text\": [\n      \"{E}={K}\\n\"\n     ]\n    }\n   ],\n   \"source\": [\n    \"print(conf)\"\n   ]\n  }\n ],\n \"metadata\": {},\n \"nbformat\": 4,\n \"nbformat_minor\": 5\n}\n",
    ),
    // More of Python.
    hard("py dict call", "agent.py", "config = dict(region=\"eu\", {e}=\"{K}\", retries=2)\n"),
    hard("py positional", "agent.py", "from lib import {C}\n\nclient = {C}(\"{K}\")\n"),
    hard("py module attribute", "agent.py", "import {P}\n\n{P}.api_key = \"{K}\"\n"),
    hard("py environ f-string", "agent.py", "import os\n\nos.environ[\"{E}\"] = f\"{K}\"\n"),
    hard("py strip", "agent.py", "{E} = \"{K}\\n\".strip()\n"),
    hard("py triple quotes", "agent.py", "{E} = \"\"\"{K}\"\"\"\n"),
    hard("py bytes", "agent.py", "{E} = b\"{K}\"\n"),
    hard("py raw", "agent.py", "{E} = r'{K}'\n"),
    hard(
        "py named entry",
        "agent.py",
        "ENV = [{\"name\": \"LOG\", \"value\": \"1\"}, {\"name\": \"{E}\", \"value\": \"{K}\"}]\n",
    ),
    hard("py chained", "agent.py", "default_key = {E} = \"{K}\"\n"),
    hard(
        "py local",
        "agent.py",
        "def main():\n    {e} = \"{K}\"\n    run({e})\n\n\nif __name__ == \"__main__\":\n    main()\n",
    ),
    hard("py returned", "agent.py", "def get_{e}() -> str:\n    return \"{K}\"\n"),
    hard(
        "py compared",
        "server.py",
        "def check(request, {e}):\n    if {e} != \"{K}\":\n        raise PermissionError\n",
    ),
    hard("py enum", "config.py", "from enum import Enum\n\nclass Keys(str, Enum):\n    {E} = \"{K}\"\n"),
    hard("py logged", "agent.py", "logger.info(\"using {E}=%s\", \"{K}\")\n"),
    hard("py toml text", "agent.py", "CONFIG = \"\"\"\n[agent]\nmodel = \"gpt-4o\"\n{e} = \"{K}\"\n\"\"\"\n"),
    hard("py yaml text", "agent.py", "CONFIG = '''\nagent:\n  model: gpt-4o\n  {e}: {K}\n'''\n"),
    hard(
        "py curl text",
        "agent.py",
        "def call():\n    \"\"\"As: curl https://{H}/v1 -H 'Authorization: Bearer {K}'\"\"\"\n",
    ),
    hard(
        "py body",
        "tools.py",
        "import requests\n\nrequests.post(\"https://{H}/v1/run\", json={\"api_key\": \"{K}\", \"q\": \"a\"})\n",
    ),
    hard("py socket", "tools.py", "import websockets\n\nawait websockets.connect(\"wss://{H}/v1/stream?token={K}\")\n"),
    hard(
        "py http client",
        "tools.py",
        "import httpx\n\nclient = httpx.AsyncClient(base_url=\"https://{H}\", headers={\"Authorization\": \"Bearer {K}\"})\n",
    ),
    hard(
        "py urllib",
        "tools.py",
        "from urllib.request import Request, urlopen\n\nrequest = Request(\"https://{H}/v1\")\nrequest.add_header(\"X-Api-Key\", \"{K}\")\nurlopen(request)\n",
    ),
    hard("py list of keys", "agent.py", "{E}S = [\n    \"{K}\",\n]\n"),
    hard("py ternary", "agent.py", "import os\n\n{e} = \"{K}\" if os.getenv(\"DEV\") else os.environ[\"{E}\"]\n"),
    hard("py match", "agent.py", "match name:\n    case \"prod\":\n        {e} = \"{K}\"\n"),
    // More of JavaScript.
    hard("js called at once", "pay.js", "const client = require('lib')('{K}', { host: '{H}' });\n"),
    hard("js new positional", "agent.js", "import { {C} } from 'lib';\nconst client = new {C}('{K}');\n"),
    hard("js env default", "env.js", "const { PORT = 3000, {E} = '{K}' } = process.env;\n"),
    hard("js assign", "env.js", "Object.assign(process.env, { {E}: '{K}' });\n"),
    hard(
        "js header path",
        "api.js",
        "import axios from 'axios';\naxios.defaults.baseURL = 'https://{H}';\naxios.defaults.headers.common['Authorization'] = 'Bearer {K}';\n",
    ),
    hard("ts enum", "keys.ts", "export enum Keys {\n  {E} = '{K}',\n}\n"),
    hard("ts as const", "keys.ts", "export const KEYS = { {E}: '{K}' } as const;\n"),
    hard("tsx property", "app.tsx", "export default () => <Provider region=\"eu\" {n}=\"{K}\" />;\n"),
    hard("js returned", "agent.js", "export function get_{e}() {\n  return '{K}';\n}\n"),
    hard(
        "js pm2",
        "ecosystem.config.js",
        "module.exports = {\n  apps: [{ name: 'agent', script: 'index.js', env: { NODE_ENV: 'production', {E}: '{K}' } }],\n};\n",
    ),
    hard("js if unset", "agent.js", "let {n} = process.env.{E};\nif (!{n}) {n} = '{K}';\n"),
    hard("js or assign", "agent.js", "process.env.{E} ||= '{K}';\n"),
    hard("html script", "index.html", "<script>\n  const {n} = \"{K}\";\n</script>\n"),
    // Other languages.
    hard("go", "main.go", "package main\n\nconst {n} = \"{K}\"\n"),
    hard("go short", "main.go", "package main\n\nfunc main() {\n\t{n} := \"{K}\"\n\trun({n})\n}\n"),
    hard("go setenv", "main.go", "package main\n\nfunc main() {\n\tos.Setenv(\"{E}\", \"{K}\")\n}\n"),
    hard("java", "Agent.java", "public class Agent {\n    private static final String {E} = \"{K}\";\n}\n"),
    hard("rust", "main.rs", "const {E}: &str = \"{K}\";\n"),
    hard("csharp", "Agent.cs", "public class Agent {\n    public string {n} { get; set; } = \"{K}\";\n}\n"),
    hard("php", "config.php", "<?php\nreturn [\n    '{e}' => '{K}',\n];\n"),
    hard("php define", "config.php", "<?php\ndefine('{E}', '{K}');\n"),
    hard("ruby", "agent.rb", "ENV['{E}'] = '{K}'\n"),
    // More of configuration.
    hard("xml add", "app.config", "<configuration>\n  <add key=\"{E}\" value=\"{K}\" />\n</configuration>\n"),
    hard("xml element", "config.xml", "<config>\n  <{e}>{K}</{e}>\n</config>\n"),
    hard("android", "strings.xml", "<resources>\n  <string name=\"{e}\">{K}</string>\n</resources>\n"),
    hard("systemd", "agent.service", "[Service]\nEnvironment=\"{E}={K}\"\nExecStart=/usr/bin/agent\n"),
    hard("yaml flow", "config.yaml", "env: { LOG: debug, {E}: \"{K}\" }\n"),
    hard("yaml block", "config.yaml", "{e}: |\n  {K}\n"),
    hard("yaml folded", "config.yaml", "{e}: >-\n  {K}\nmodel: gpt-4o\n"),
    hard("yaml args", "pod.yaml", "containers:\n  - name: agent\n    args:\n      - --region=eu\n      - --{d}={K}\n"),
    hard("helm", "values.yaml", "agent:\n  secrets:\n    {n}: {K}\n"),
    hard("netrc", ".netrc", "machine {H} login agent password {K}\n"),
    hard("jsonc comment", "settings.jsonc", "{\n  // \"{e}\": \"{K}\",\n  \"model\": \"gpt-4o\"\n}\n"),
    hard("json array args", "launch.json", "{\"args\": [\"run\", \"--{d}\", \"{K}\"]}\n"),
    hard("git remote", "config", "[remote \"origin\"]\n\turl = https://agent:{K}@{H}/acme/agent.git\n"),
    // More of commands and prose.
    hard("powershell", "run.ps1", "$env:{E} = \"{K}\"\npython agent.py\n"),
    hard("cmd", "run.bat", "@echo off\nset {E}={K}\npython agent.py\n"),
    hard("fish", "run.fish", "set -x {E} {K}\n"),
    hard("config set", "deploy.sh", "heroku config:set LOG=1 {E}={K} --app agent\n"),
    hard("from literal", "deploy.sh", "kubectl create secret generic agent --from-literal={E}={K}\n"),
    hard("gh secret", "deploy.sh", "gh secret set {E} --body \"{K}\"\n"),
    hard("markdown table", "README.md", "| Variable | Value |\n| --- | --- |\n| `{E}` | `{K}` |\n"),
    hard("markdown code", "NOTES.md", "Use `{E}={K}` for staging.\n"),
    hard("markdown prose", "NOTES.md", "The {P} API key is {K} (do not share).\n"),
    hard("log line", "agent.log", "2026-05-01 12:00:01 INFO starting with {E}={K} region=eu\n"),
    hard(
        "notebook shell",
        "agent.ipynb",
        "{\n \"cells\": [\n  {\n   \"cell_type\": \"code\",\n   \"metadata\": {},\n   \"outputs\": [],\n   \"source\": [\n    \"!curl https://{H}/v1 -H \\\"Authorization: Bearer {K}\\\"\\n\"\n   ]\n  }\n ]\n}\n",
    ),
    hard(
        "notebook markdown",
        "agent.ipynb",
        "{\n \"cells\": [\n  {\n   \"cell_type\": \"markdown\",\n   \"metadata\": {},\n   \"source\": [\n    \"Set `{E}={K}` first.\\n\"\n   ]\n  }\n ]\n}\n",
    ),
];

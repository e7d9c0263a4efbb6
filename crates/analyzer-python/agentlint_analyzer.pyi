"""Find what an AI agent will touch - tools, models, secrets, hosts, packages - before it is deployed."""

# Types are for checkers alone: import them below `if TYPE_CHECKING:`.

from typing import Literal, type_check_only

from typing_extensions import NotRequired, TypeAlias, TypedDict

__all__ = ["__version__", "analyze"]

__version__: str
"""The version of the analyzer."""

Confidence: TypeAlias = Literal["low", "medium", "high"]
"""How sure a finding is."""

ToolKind: TypeAlias = Literal["env", "http", "sdk", "mcp", "function"]
"""What kind of tool it is; the first four need an address, credentials and a policy."""

Role: TypeAlias = Literal["default", "chat", "embedding", "classify", "reranking"]
"""What a model is used for."""

Severity: TypeAlias = Literal["low", "medium", "high"]
"""How bad a secret in the code is."""

OpensKind: TypeAlias = Literal["model_usage", "tool", "destination"]
"""The kinds of finding that have credentials."""

@type_check_only
class Step(TypedDict):
    """One link of an evidence chain, from the value's origin to its use."""

    what: str
    """What stands there, in a few words: "`BASE`", "env `CRM_URL`", "call of `requests.post`"."""
    file: str
    """Path as submitted."""
    line: int
    """Line, from 1."""

@type_check_only
class CallSite(TypedDict):
    """One call that leaves the process."""

    file: str
    """Path as submitted."""
    line: int
    """Line of the address inside the call."""
    method: NotRequired[str]
    """HTTP method in upper case; absent when it cannot be known."""
    path: NotRequired[str]
    """Path template with holes in braces: `/v1/charges/{id}`; absent for calls without one."""
    call: str
    """What is called: `requests.post`, `stripe.Charge.create`."""

@type_check_only
class Tool(TypedDict):
    """A service or function that the agent may call."""

    name: str
    """Name by the naming rules: `echo-tool`, `stripe-api`, the function's own name."""
    kind: ToolKind
    """Where the address comes from."""
    file: str
    """File of the first use or definition."""
    line: int
    """Line of the first use or definition."""
    base_url: NotRequired[str]
    """Scheme and host, when the code holds a literal address."""
    detected_url_pattern: NotRequired[str]
    """The environment variable that holds the address."""
    default_url: NotRequired[str]
    """Literal that the environment variable falls back to."""
    service: NotRequired[str]
    """Id of the service in the knowledge base."""
    description: NotRequired[str]
    """First sentence of the description the model sees, for function tools."""
    source: NotRequired[str]
    """`llm` for what a model suggested; absent for what the analyzer found."""
    confidence: Confidence
    """How sure."""
    call_sites: list[CallSite]
    """Each use, in order of file and line."""
    evidence: list[Step]
    """From the origin of the address to the first use."""

@type_check_only
class ModelProvider(TypedDict):
    """A distinct (provider, model) pair."""

    provider: str
    """Provider id: `openai`, `anthropic`, `bedrock`, …"""
    model: str | None
    """Model, or null when it cannot be known."""

@type_check_only
class ModelUsage(TypedDict):
    """A place where a model is chosen."""

    role: Role
    """What it is used for."""
    model: str | None
    """The model, or null when it cannot be known: never a guess. Of several, the first that the code gives."""
    alternatives: NotRequired[list[str]]
    """Other models that the same call may be given, by branch or by caller."""
    provider: str
    """Provider id; `gateway` for the platform's own `LLM_GATEWAY_URL`."""
    variable_name: str
    """The client variable, or the environment variable that gives the endpoint."""
    file: str
    """Path as submitted."""
    line: int
    """First line of the constructor or call; for raw HTTP the line of the address."""
    default_from_env: NotRequired[bool]
    """The model is the fallback of an environment variable or command-line option."""
    call: str
    """What is called."""
    confidence: Confidence
    """How sure."""
    evidence: list[Step]
    """From the origin of the model's name to the call."""

@type_check_only
class Destination(TypedDict):
    """A host that the code connects to."""

    host: str
    """Bare host name, lower case."""
    file: str
    """File of the first use."""
    line: int
    """Line of the first use."""
    implied_by: NotRequired[str]
    """The SDK whose default endpoint this is, when no literal names the host."""
    confidence: Confidence
    """How sure."""
    evidence: list[Step]
    """From the origin of the address to the call."""

@type_check_only
class Opens(TypedDict):
    """What a secret opens."""

    kind: OpensKind
    """Which kind of finding."""
    name: str
    """The model, the tool or the host."""
    file: str
    """File of that finding."""
    line: int
    """Its line."""

@type_check_only
class Secret(TypedDict):
    """A credential in the submitted text, without its value."""

    type: str
    """`api_key`, `oauth_token`, `private_key`, `password`, `connection_string`, `jwt`, `webhook_url`, …"""
    provider: NotRequired[str]
    """Id of the issuer, when known."""
    file: str
    """Path as submitted."""
    line: int
    """Line."""
    column: int
    """Column, in characters."""
    severity: Severity
    """How bad."""
    description: str
    """One sentence for a person."""
    preview: str
    """Public prefix and a mask of fixed length."""
    fingerprint: str
    """Keyed hash that survives moves and reveals nothing."""
    name: NotRequired[str]
    """The name it is assigned to, when there is one."""
    suggested_env: NotRequired[str]
    """The environment variable that should carry it."""
    env_read: NotRequired[bool]
    """The code reads that variable already."""
    hosts: NotRequired[list[str]]
    """Hosts that it is sent to, as far as its place says."""
    opens: NotRequired[list[Opens]]
    """Findings of this analysis that it is the credential of."""
    confidence: Confidence
    """How sure."""
    reasons: list[str]
    """Stable reason codes: `format`, `checksum`, `name`, `entropy`, `header`, `dsn`, …"""

Requirement = TypedDict(
    "Requirement",
    {
        # Distribution or npm package name.
        "name": str,
        # As it should stand in a requirements file.
        "specifier": str,
        # `pypi` or `npm`.
        "ecosystem": str,
        # The import that asks for it.
        "import": str,
        # File of the first import.
        "file": str,
        # Line of the first import.
        "line": int,
        # The manifest that declares it.
        "declared_in": NotRequired[str],
        # Only imported conditionally.
        "optional": NotRequired[bool],
    },
)
"""One package that the code imports."""

@type_check_only
class Requirements(TypedDict):
    """Evidence for the requirements."""

    packages: list[Requirement]
    """One entry per package that the code imports, sorted by name."""
    missing: list[str]
    """Imported but in no submitted manifest; empty without a manifest."""
    unused: list[str]
    """In a manifest but imported nowhere."""

@type_check_only
class Handler(TypedDict):
    """Something that an agent runtime can call."""

    name: str
    """Name of the function or object."""
    kind: str
    """`function`, `object`, `main`, `web_app`, `mcp_server`, `export`."""
    file: str
    """Path as submitted."""
    line: int
    """Line."""

@type_check_only
class Framework(TypedDict):
    """A framework that the code uses."""

    name: str
    """Id in the knowledge base."""
    file: str
    """First use."""
    line: int
    """Line of the first use."""

@type_check_only
class EnvVar(TypedDict):
    """An environment variable that the code reads."""

    name: str
    """Name of the variable."""
    file: str
    """File of the first read."""
    line: int
    """Line of the first read."""
    has_default: bool
    """The code has a fallback for it."""

@type_check_only
class Prompt(TypedDict):
    """A system prompt."""

    text: str
    """The text, holes as `{name}`; secrets masked."""
    file: str
    """Where the text begins."""
    line: int
    """Line where the text begins."""
    used_by: str
    """The call or key that makes it a system prompt."""
    source: NotRequired[str]
    """`llm` for what a model suggested, which stands in no file; absent for what the analyzer found."""
    evidence: list[Step]
    """From the text's origin to its use."""

@type_check_only
class Execution(TypedDict):
    """How the platform's runtime would run this code."""

    tier: int
    """1: the runtime's own tool loop; 2: the code's handler."""
    reason: str
    """Why."""

@type_check_only
class Note(TypedDict):
    """Something that could not be read or known."""

    file: str
    """Path as submitted; empty for the whole project."""
    line: int
    """Line, 0 when it concerns the whole file."""
    code: str
    """Stable code: `budget`, `encoding`, `syntax`, `unknown-model`, …"""
    message: str
    """One sentence: what is missing and what it would need."""

@type_check_only
class Stats(TypedDict):
    """How much was read."""

    files: int
    """Files submitted."""
    bytes: int
    """Bytes submitted."""
    parsed: int
    """Files parsed with a grammar."""

@type_check_only
class Analysis(TypedDict):
    """What an agent touches, and how we know."""

    id: str
    """`analysis-` and 16 hex digits of the content: the same files and options give the same id."""
    tools: list[Tool]
    """Services and functions the agent may call; one entry per service or function, its call sites inside."""
    model_providers: list[ModelProvider]
    """Distinct (provider, model) pairs reached directly, not through the platform's gateway."""
    model_usages: list[ModelUsage]
    """Where a model is chosen."""
    secrets: list[Secret]
    """Credentials in the submitted text. The values are nowhere in this structure."""
    outbound_destinations: list[str]
    """External hosts the code itself connects to: bare host names, each once, sorted."""
    detected_requirements: list[str]
    """Packages to install, as specifiers (`openai>=1.0`), sorted."""
    entry_point: str
    """The file that starts the program; empty when no file could."""
    system_prompt_suggestion: str
    """The literal system prompt of the code; empty when there is none."""
    destinations: list[Destination]
    """Evidence for `outbound_destinations`, one entry per host."""
    optional_requirements: list[str]
    """Packages only imported inside `try`, under type checking, or behind a condition."""
    requirements: Requirements
    """Evidence for `detected_requirements`, and what a submitted manifest misses or does not need."""
    entry_point_reason: str
    """Why `entry_point` is the one."""
    handlers: list[Handler]
    """Functions and objects that an agent runtime can call."""
    framework: str
    """The main framework's id, empty for none: what one client reads beside `frameworks`."""
    runtime_family: str
    """Language of the entry point: `python` or `node`; empty when unknown."""
    frameworks: list[Framework]
    """Agent frameworks that the code uses."""
    env_vars: list[EnvVar]
    """Environment variables that the code reads."""
    prompts: list[Prompt]
    """System prompts found, the suggested one first."""
    execution: Execution
    """How the platform's runtime would run this code."""
    notes: list[Note]
    """What could not be read or known, and what it would need."""
    stats: Stats
    """How much was read."""
    cancelled: NotRequired[bool]
    """The analysis was cancelled and is incomplete; never cached."""

def analyze(files: dict[str, str], /) -> Analysis:
    """Analyzes an agent's files: text by path, relative to the project.

    Nothing is executed, nothing is read but what is given, and other Python threads run meanwhile. The same files
    give the same answer. Ctrl-C stops it.

    Raises TypeError for what is no dict of str, and ValueError for paths and sizes that are not taken.
    """

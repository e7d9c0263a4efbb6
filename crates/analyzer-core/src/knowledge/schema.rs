//! The shapes of a knowledge file. One file is one thing: a provider, a service, an HTTP client, a framework.
//!
//! A misspelt field is refused with its line. Every field says here what it is for; `knowledge/README.md` shows each
//! with an example.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Equal to the file's name without `.toml`.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Public page that the facts come from.
    pub source: String,
    /// Page about its authentication, for a person who must get a credential.
    pub docs: Option<String>,
    /// Hosts of its API, bare, lower case; `*.` in front for any subdomain, `:port` behind for local servers,
    /// `/path` behind where only a part of the host belongs to it.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Environment variables that carry its credential.
    #[serde(default)]
    pub env: Vec<String>,
    /// How its credential is presented.
    pub auth: Option<Auth>,
    /// Name of the tool, for services; `{id}-api` when absent.
    pub tool: Option<String>,
    /// Schemes of its connection strings: `postgresql` of `postgresql+asyncpg://…`.
    #[serde(default)]
    pub schemes: Vec<String>,
    /// An address of it that is written out is named after its host, not after it.
    #[serde(default)]
    pub named_by_host: bool,
    /// Provider ids that routers write in front of a model: `openai/gpt-4o`, `openai:gpt-4o`.
    #[serde(default)]
    pub prefixes: Vec<String>,
    /// Beginnings of its models' names, for routers that are given a bare model.
    #[serde(default)]
    pub models: Vec<String>,
    /// It serves its own models only: one that is another provider's never goes to it.
    #[serde(default)]
    pub own_models: bool,
    /// Import roots (Python) that mean it is used.
    #[serde(default)]
    pub python_packages: Vec<String>,
    /// Packages (npm) that mean it is used.
    #[serde(default)]
    pub npm_packages: Vec<String>,
    /// Calls and constructors that choose a model.
    #[serde(default)]
    pub model: Vec<ModelRule>,
    /// Constructors of network clients.
    #[serde(default)]
    pub client: Vec<ClientRule>,
    /// Calls that send an HTTP request to an address given by the code.
    #[serde(default)]
    pub request: Vec<RequestRule>,
    /// Constructors and calls of a service's library.
    #[serde(default)]
    pub service: Vec<ServiceRule>,
    /// Ways to make a function callable by a model.
    #[serde(default)]
    pub function: Vec<FunctionRule>,
    /// Ways to connect to an MCP server.
    #[serde(default)]
    pub mcp: Vec<McpRule>,
    /// Calls that take a system prompt.
    #[serde(default)]
    pub prompt: Vec<PromptRule>,
    /// Objects and decorators that make a file an entry point.
    #[serde(default)]
    pub handler: Vec<HandlerRule>,
    /// Ways to read an environment variable.
    #[serde(default)]
    pub env_read: Vec<EnvRule>,
    /// Calls that give back one of their arguments.
    #[serde(default)]
    pub passthrough: Vec<PassthroughRule>,
    /// Calls that call a function they are given.
    #[serde(default)]
    pub apply: Vec<ApplyRule>,
    /// Calls that read a data file.
    #[serde(default)]
    pub load: Vec<LoadRule>,
    /// Values that stand for a model.
    #[serde(default)]
    pub constant: Vec<ConstantRule>,
    /// Attributes that a decorator or base class gives to a class.
    #[serde(default)]
    pub field: Vec<FieldRule>,
    /// Literal dicts that declare a tool to a model.
    #[serde(default)]
    pub schema: Vec<SchemaRule>,
    /// Tools that a provider runs itself, named in a request by their type alone.
    #[serde(default)]
    pub hosted: Vec<HostedRule>,
    /// How MCP servers are started and named.
    #[serde(default)]
    pub mcp_names: McpNames,
    /// It is the platform's own gateway: a usage through it has the role `default`.
    #[serde(default)]
    pub gateway: bool,
    /// It stands for whatever serves models on this machine, where nothing tells what that is.
    #[serde(default)]
    pub loopback: bool,
    /// Others copy its members: it is meant where members are all that is known of a call.
    #[serde(default)]
    pub copied: bool,
    /// Names under which code keeps its tools.
    #[serde(default)]
    pub tool_names: ToolNames,
    /// Requirements written with a documented specifier.
    #[serde(default)]
    pub requirement: Vec<RequirementRule>,
    /// Proof: code, and everything that must be found in it.
    #[serde(default)]
    pub example: Vec<Example>,
}

/// Symbols of both languages.
///
/// Python: dotted path from the package: `openai.OpenAI().chat.completions.create`. `()` stands behind what is called
/// on the way. A class may be imported from any submodule of the package that is named: `langchain_openai.ChatOpenAI`
/// covers `langchain_openai.chat_models.base.ChatOpenAI`. `*` stands for any one name.
///
/// JavaScript: package, `#`, exported name, then members: `openai#OpenAI().chat.completions.create`. The default
/// export is `default`; `new X()` is written `X()`. Globals have no package: `fetch`.
macro_rules! rule {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident : $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            /// Python symbols.
            pub python: Vec<String>,
            /// JavaScript symbols.
            pub js: Vec<String>,
            $($(#[$field_doc])* pub $field: $type,)*
        }
    };
}

/// Where in a call an argument stands: a number for its position (from 0), or a name: Python's keyword, a key of
/// any object literal among JavaScript's arguments. `a.b` descends into a literal dict or object, `a.0` into a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum ArgRef {
    /// By position.
    Position(usize),
    /// By name.
    Name(String),
}

rule!(
    /// A call or constructor that chooses a model: one usage.
    ModelRule {
        /// `chat` when absent; `embedding`, `classify`, `reranking`.
        role: Option<String>,
        /// Arguments that tell another role: what a pipeline is for.
        roles: Vec<RoleOf>,
        /// Where the model stands; the first that is given counts.
        model: Vec<ArgRef>,
        /// Provider id; that of the file when absent.
        provider: Option<String>,
        /// Where the call names the provider.
        provider_arg: Vec<ArgRef>,
        /// The model may carry its provider: `openai/gpt-4o`, `anthropic:claude-…`; the prefix is cut off.
        router: bool,
        /// Without a model argument this is no usage (agents that can inherit a model).
        optional: bool,
        /// With one of these given it is a usage all the same, of a model that nobody knows.
        given: Vec<ArgRef>,
        /// Where this very call overrides the address (constructors that are client and usage in one).
        base: Vec<ArgRef>,
        /// Host when the address is not overridden; the provider's first host when absent.
        host: Option<String>,
        /// It runs on this machine or names no host.
        local: bool,
        /// Template of a regional host: `bedrock-runtime.{region}.amazonaws.com`.
        region_host: Option<String>,
        /// Where the region stands.
        region: Vec<ArgRef>,
        /// What arguments of this very call turn it into (constructors that are client and usage in one).
        switch: Vec<Switch>,
    }
);

rule!(
    /// A constructor of a network client: what is called on it goes to its address.
    ClientRule {
        /// Where the address is given.
        base: Vec<ArgRef>,
        /// Environment variables that override the address by themselves.
        base_env: Vec<String>,
        /// Host when nothing overrides it.
        host: Option<String>,
        /// Template of a regional host.
        region_host: Option<String>,
        /// Where the region stands.
        region: Vec<ArgRef>,
        /// Only a base for requests, no provider or service of its own (`httpx.Client`, `axios.create`).
        plain: bool,
        /// Only if an argument at position 0 has one of these values (`boto3.client("bedrock-runtime")`).
        only: Vec<String>,
        /// What its arguments turn it into.
        switch: Vec<Switch>,
    }
);

/// An argument that tells a role: `pipeline("text-classification", …)`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleOf {
    /// Where it stands.
    pub arg: Vec<ArgRef>,
    /// Its values.
    pub values: Vec<String>,
    /// The role then.
    pub role: String,
}

/// An argument that turns a client into another provider's: `genai.Client(vertexai=True)`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Switch {
    /// Where it stands.
    pub arg: Vec<ArgRef>,
    /// Only with this value; with any that is given when absent.
    pub value: Option<String>,
    /// The other provider's id.
    pub provider: String,
    /// Its host then.
    pub host: Option<String>,
    /// Template of a regional host.
    pub region_host: Option<String>,
    /// Where the region stands.
    pub region: Vec<ArgRef>,
}

rule!(
    /// A call that sends a request to an address that the code gives.
    RequestRule {
        /// Where the address stands.
        url: Vec<ArgRef>,
        /// The method, when the call's name decides it.
        method: Option<String>,
        /// Where the method stands.
        method_arg: Vec<ArgRef>,
        /// Arguments that make it a POST when the method is not given.
        body: Vec<ArgRef>,
        /// It reads files too: without a scheme it is no address.
        file: bool,
        /// The address is a data source name or a bare host, not an HTTP URL.
        connection: bool,
    }
);

rule!(
    /// A service's library: the first construction or call is the tool.
    ServiceRule {
        /// Name of the tool; that of the file when absent.
        tool: Option<String>,
        /// Where the call names the service; `{}` in `tool` is replaced by it (`aws-{}`).
        tool_arg: Vec<ArgRef>,
        /// Values of `tool_arg`, or classes, that are no tools (model runtimes, token services).
        except: Vec<String>,
        /// Host; the file's first host when absent.
        host: Option<String>,
        /// Hosts that it reaches besides, such as that of its socket.
        also: Vec<String>,
        /// It names no host (local stores, unknown accounts).
        local: bool,
        /// Only if the argument at `only_arg` has one of these values, in any case of its letters.
        only: Vec<String>,
        /// Where that argument stands.
        only_arg: Vec<ArgRef>,
        /// Where a list of names stands (`load_tools(["serpapi"])`): each that is one of `only` is this tool, at its own line.
        names: Vec<ArgRef>,
        /// Not if one of these arguments is given.
        unless: Vec<ArgRef>,
        /// The tool is named after the host where the code writes one down.
        by_host: bool,
        /// Ends of the names of classes: one that no other rule knows is a tool named after itself.
        by_class: Vec<String>,
        /// The platform gives it its address in `TOOL_{NAME}_URL`: an `env` tool.
        platform: bool,
        /// Where the address is given.
        base: Vec<ArgRef>,
        /// Template of a regional host.
        region_host: Option<String>,
        /// Where the region stands.
        region: Vec<ArgRef>,
        /// Method of the HTTP request behind the call, when known.
        method: Option<String>,
        /// Where the method stands, for calls that are told.
        method_arg: Vec<ArgRef>,
        /// Path of the HTTP request behind the call, when known; what stands before that of `path_arg`.
        path: Option<String>,
        /// Where the path stands, for calls that are told.
        path_arg: Vec<ArgRef>,
    }
);

/// How code hands a function to a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// `@tool`, `@tool("name")`, `@agent.tool(…)`: the decorated function.
    Decorator,
    /// `tool({name, …})`, `FunctionTool(f)`: the call makes one tool.
    #[default]
    Call,
    /// `Agent(tools=[f, g])`: plain functions, schemas and named values in the list or map.
    List,
    /// `class Search(BaseTool)`: each subclass.
    Class,
}

rule!(
    /// A way to make a function callable by a model.
    FunctionRule {
        /// Which way.
        form: Form,
        /// Where the name stands (call and decorator); for classes the attributes that hold it.
        name: Vec<ArgRef>,
        /// It is where the call stands, wherever its name does.
        here: bool,
        /// Where the function stands (call), whose name is taken when none is given.
        function: Vec<ArgRef>,
        /// Where the list or map stands (list).
        tools: Vec<ArgRef>,
        /// Where the description stands.
        description: Vec<ArgRef>,
    }
);

rule!(
    /// A way to connect to an MCP server.
    McpRule {
        /// Where the server's name stands.
        name: Vec<ArgRef>,
        /// Where the command stands.
        command: Vec<ArgRef>,
        /// Where the command's arguments stand.
        args: Vec<ArgRef>,
        /// Where the address stands.
        url: Vec<ArgRef>,
        /// Where a map from names to servers stands.
        servers: Vec<ArgRef>,
        /// The model's provider connects to it: its host is none that the code reaches.
        hosted: bool,
    }
);

rule!(
    /// A call that takes a system prompt.
    PromptRule {
        /// Where the text stands.
        text: Vec<ArgRef>,
        /// Smaller comes first when several prompts are found; 5 when absent.
        rank: Option<u8>,
        /// Where other agents stand that this one hands over to: of equal prompts, that of the one with most is first.
        agents: Vec<ArgRef>,
    }
);

rule!(
    /// An object or decorator that makes a file an entry point.
    HandlerRule {
        /// `object`, `web_app`, `mcp_server`, `decorator`, `runner`.
        kind: String,
        /// Smaller wins when several files could start the program; 5 when absent.
        rank: Option<u8>,
    }
);

rule!(
    /// A way to read an environment variable.
    EnvRule {
        /// The symbol is a map: `os.environ["X"]`, `process.env.X`.
        map: bool,
        /// How a key of the map makes the variable's name, `{}` for the key in capitals: `TOOL_{}_URL`.
        template: Option<String>,
        /// The map as people write it where its base is a parameter that nothing says more of: `context.tools`.
        written: Vec<String>,
        /// Where the variable's name stands (calls).
        name: Vec<ArgRef>,
        /// Where the fallback stands (calls).
        default: Vec<ArgRef>,
        /// The symbol is a base class whose annotated fields are read from the environment.
        fields: bool,
        /// Where such a class says what stands in front of the names of its variables: a member of the class, then
        /// an argument or member of that.
        prefix: Vec<String>,
        /// Arguments of a field's value that name its variable.
        alias: Vec<ArgRef>,
    }
);

rule!(
    /// A call that gives back one of its arguments: `textwrap.dedent(x)`, `Field(default=x)`, `z.string().default(x)`.
    PassthroughRule {
        /// Where the value stands.
        value: Vec<ArgRef>,
    }
);

rule!(
    /// A call that reads a file: `yaml.safe_load(open("config.yaml"))`, `readFileSync("prompt.txt")`. A submitted file
    /// of that name is the value.
    LoadRule {
        /// Where the path stands, or the call that opens it.
        path: Vec<ArgRef>,
    }
);

rule!(
    /// A value of a library that stands for a model: `gemini20Flash` of Genkit's plug-in.
    ConstantRule {
        /// The model; none where `members` has it.
        model: String,
        /// The members of an enumeration and the model of each, when the symbol ends with `*`.
        members: BTreeMap<String, String>,
    }
);

rule!(
    /// A decorator or base class that gives its class an attribute which holds a data file.
    FieldRule {
        /// Name of the attribute.
        name: String,
        /// Path of the data file, when the class does not say otherwise.
        path: String,
    }
);

rule!(
    /// A call that calls a function it is given, with the arguments it is given: `asyncio.to_thread(f, x=1)`.
    ApplyRule {
        /// Where the function stands.
        function: Vec<ArgRef>,
    }
);

/// A literal dict, or a call by keyword of something of the project's own, that declares a tool to a model.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemaRule {
    /// Where a list of such dicts stands, for those that are told by the list alone.
    pub list: Option<String>,
    /// Where the name stands: `function.name`, `name`.
    pub name: String,
    /// Paths that must be there too; `|` between those of which one is enough.
    pub requires: Vec<String>,
    /// `key=value` pairs that must hold; `key=begin*` for a value that begins so.
    #[serde(default)]
    pub equals: Vec<String>,
}

/// How MCP servers are started and named.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct McpNames {
    /// Commands, and words of theirs, that run something else: `npx`, `uv run`.
    pub runners: Vec<String>,
    /// What stands in front of a server's name in that of its package or script; the longest first.
    pub prefixes: Vec<String>,
    /// What stands behind it.
    pub suffixes: Vec<String>,
    /// Endings of scripts.
    pub extensions: Vec<String>,
    /// Keys of configuration files that hold a map from names to servers.
    pub maps: Vec<String>,
    /// Configuration files that the framework reads by itself.
    pub files: Vec<String>,
    /// How a configuration says by which transport a server is reached.
    pub transports: Vec<String>,
    /// Folders and scripts whose names say nothing of the server in them.
    pub places: Vec<String>,
}

/// Names under which code keeps the functions that a model may call, in small letters without underscores.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ToolNames {
    /// Arguments that take a list of functions: `Helper(tools=[f, g])`.
    pub arguments: Vec<String>,
    /// Variables that hold a list of functions, or a map from names to functions.
    pub variables: Vec<String>,
}

/// A tool that a provider runs itself: `{"type": "web_search_preview"}`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostedRule {
    /// Its types; `*` behind the beginning of a dated one.
    pub types: Vec<String>,
    /// A key beside the type without which it says little.
    pub with: Option<String>,
    /// Name of the tool.
    pub tool: String,
}

/// How a credential is presented.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// `bearer`, `header`, `query`, `basic`, `oauth2`, `sigv4`, `none`.
    pub style: String,
    /// Name of the header or query parameter.
    pub name: Option<String>,
}

/// A requirement with a documented specifier.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequirementRule {
    /// Distribution name.
    pub package: String,
    /// As it is written when no manifest declares it: `openai>=1.0`.
    pub specifier: String,
}

/// Proof of an entry.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Python code, as `agent.py`.
    pub python: Option<String>,
    /// JavaScript code, as `agent.js`.
    pub javascript: Option<String>,
    /// TypeScript code, as `agent.ts`.
    pub typescript: Option<String>,
    /// Every model, tool and host that the code holds, one line each and no others:
    /// `model <provider> <model or ?> <role> line <n>`, `tool <name> <kind> line <n>`, `host <host>`;
    /// of these any number too: `prompt <text>`, `framework <id>`, `requirement <specifier>`, `entry <file>`.
    pub finds: Vec<String>,
}

// Serves an agent's handler by the protocol of the published Python runtime: /healthz, /readyz, /invoke,
// /invoke/stream, /resume/{action}. HTTP/1.1, one process, no dependency.
import { createServer, Server } from "node:http";
import { pathToFileURL } from "node:url";
import path from "node:path";

const port = Number(process.env.PORT ?? 8080);
const host = process.env.AGENT_LISTEN_HOST ?? "0.0.0.0";
const name = process.env.AGENT_NAME ?? "agent";
const model = process.env.LLM_MODEL ?? "gpt-4o-mini";
const gateway = (process.env.LLM_GATEWAY_URL ?? "").replace(/\/chat\/completions$/, "");
const governance = process.env.GOVERNANCE_URL ?? "";
const LONGEST_BODY = 16 * 1024 * 1024;

// What SDKs look for, unless somebody said otherwise.
if (gateway) {
  process.env.OPENAI_BASE_URL ??= gateway;
  process.env.ANTHROPIC_BASE_URL ??= gateway;
}
process.env.OPENAI_API_KEY ??= "platform-managed";
process.env.ANTHROPIC_API_KEY ??= "platform-managed";

// An agent may bring a server of its own for the same port. Its requests are handed to it; it listens nowhere.
let own = null;
const listen = Server.prototype.listen;
Server.prototype.listen = function (...given) {
  const asked = typeof given[0] === "object" && given[0] !== null ? given[0].port : given[0];
  if (Number(asked) !== port) return listen.apply(this, given);
  own = this;
  const done = given.find((one) => typeof one === "function");
  queueMicrotask(() => {
    this.emit("listening");
    done?.call(this);
  });
  return this;
};

function found(module) {
  const parts = [module, module.default].filter(Boolean);
  for (const part of parts) if (typeof part.handler === "function") return part.handler;
  if (typeof module.default === "function") return module.default;
  for (const key of ["agent", "chain", "executor", "graph", "crew"]) {
    for (const part of parts) {
      const method = ["invoke", "run", "kickoff"].find((method) => typeof part[key]?.[method] === "function");
      if (method) return (request) => part[key][method](request.message);
    }
  }
  for (const part of parts) if (typeof part.main === "function") return part.main;
  return null;
}

let handler = null;
if (process.env.USER_ENTRY_POINT) {
  const file = path.resolve(process.env.RUNAGENTS_USER_CODE_DIR ?? ".", process.env.USER_ENTRY_POINT);
  try {
    handler = found(await import(pathToFileURL(file).href));
    if (!handler && !own) {
      throw new TypeError("it exports no handler: export a function `handler`, `main` or a default");
    }
  } catch (error) {
    console.error(`failed to import user module ${process.env.USER_ENTRY_POINT}`);
    console.error(error?.stack ?? `Error: ${error}`);
    handler = own = null;
  }
}
const userCode = Boolean(handler || own);
const tools = Object.fromEntries(
  Object.entries(process.env)
    .filter(([key]) => key.startsWith("TOOL_URL_") && key !== "TOOL_URL_REWRITES_JSON")
    .map(([key, url]) => [key.slice("TOOL_URL_".length).toLowerCase().replaceAll("_", "-"), url]),
);
const context = { tools, llm_url: gateway, model, system_prompt: process.env.SYSTEM_PROMPT ?? "" };

// A call that waits for a person: the gateway says so by 403 and a code, and an error of any SDK may carry its body.
function blocked(error) {
  for (let one = error; one && typeof one === "object"; one = one.cause) {
    const bodies = [one, one.error, one.body, one.data, one.response?.data, one.response?.body];
    for (const body of bodies) {
      if (body?.code === "APPROVAL_REQUIRED" || body?.code === "CONSENT_REQUIRED") return body;
    }
  }
  return null;
}

// What else may be asked, beside the message.
const MORE = ["parameters", "session_id", "input_args", "input_kwargs"];

function requestOf(body, headers, resume) {
  return {
    message: body.message ?? "",
    history: body.history ?? [],
    request_id: headers["x-request-id"] ?? body.request_id ?? "",
    run_id: headers["x-run-id"] ?? body.run_id ?? "",
    user_id: headers["x-end-user-id"] ?? "",
    ...Object.fromEntries(MORE.filter((name) => name in body).map((name) => [name, body[name]])),
    ...(resume ? { resume } : {}),
  };
}

async function answer(request) {
  const began = Date.now();
  let result;
  try {
    result = await handler(request, { ...context, session: {} });
  } catch (error) {
    const waits = blocked(error);
    if (!waits) throw error;
    await checkpoint(request, waits);
    result =
      waits.code === "APPROVAL_REQUIRED"
        ? { response: "", approval_required: { action_id: waits.action_id, tool: waits.tool, message: waits.message } }
        : { response: "", ...waits, consent_required: waits, resume_id: waits.resume_id ?? waits.action_id };
  }
  const whole = result !== null && typeof result === "object" && !Array.isArray(result);
  const fields = whole ? result : { response: typeof result === "string" ? result : JSON.stringify(result ?? null) };
  return {
    model,
    usage: {},
    tool_calls_made: [],
    ...fields,
    response: fields.response ?? fields.output ?? JSON.stringify(fields),
    handler: "user",
    duration_ms: Date.now() - began,
    request_id: request.request_id,
  };
}

// What is needed to go on after the decision. The platform pauses the run by itself; this is for the handler's state.
async function checkpoint(request, waits) {
  if (!governance || !request.run_id) return;
  const body = { action_id: waits.action_id ?? waits.resume_id, resume_mode: "user_handler", user_request: request };
  try {
    await fetch(`${governance}/runs/${encodeURIComponent(request.run_id)}/checkpoint`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  } catch (error) {
    console.error(`the checkpoint was not stored: ${error.message}`);
  }
}

async function resumed(action, body, headers) {
  const run = headers["x-run-id"] ?? body.run_id;
  if (!run) throw Object.assign(new Error("run_id is required"), { status: 400 });
  const place = `${governance}/runs/${encodeURIComponent(run)}/checkpoint/${encodeURIComponent(action)}`;
  const stored = await fetch(place);
  if (!stored.ok) throw Object.assign(new Error(`checkpoint for action ${action} not found`), { status: 404 });
  const { user_request: before = {}, resume_state: state = null } = await stored.json();
  const resume = { action_id: action, state, approved: true, consented: true };
  return { ...requestOf({ ...before, run_id: run }, { ...headers, "x-run-id": run }, resume) };
}

async function bodyOf(request) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > LONGEST_BODY) throw Object.assign(new Error("body too large"), { status: 413 });
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString("utf8");
  try {
    const body = text === "" ? {} : JSON.parse(text);
    if (body === null || typeof body !== "object" || Array.isArray(body)) throw new Error();
    return body;
  } catch {
    throw Object.assign(new Error("invalid JSON body"), { status: 400 });
  }
}

function say(response, status, body) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

async function serve(request, response) {
  const route = new URL(request.url, "http://agent").pathname;
  if (request.method === "GET" && (route === "/" || route === "/healthz")) {
    return say(response, 200, {
      status: "ok",
      agent: name,
      model,
      tools: Object.keys(tools).length,
      user_code: userCode,
    });
  }
  if (request.method === "GET" && route === "/readyz") {
    const well = await fetch(gateway.replace(/\/v1$/, "") + "/healthz").then((one) => one.ok, () => false);
    return well
      ? say(response, 200, { status: "ready", llm_gateway: "reachable" })
      : say(response, 503, { status: "not ready", llm_gateway: "unreachable" });
  }
  const [, action, resumeStream] = route.match(/^\/resume\/([^/]+)(\/stream)?$/) ?? [];
  const invokes = route === "/invoke" || route === "/invoke/stream" || action !== undefined;
  if (!handler && own) return void own.emit("request", request, response);
  if (request.method !== "POST" || !invokes) return say(response, 404, { error: "not found" });
  const streams = route === "/invoke/stream" || Boolean(resumeStream);
  try {
    const body = await bodyOf(request);
    if (action === undefined && !body.message) return say(response, 400, { error: "message is required" });
    if (!handler) return say(response, 500, { error: "this agent has no code" });
    const asked =
      action === undefined ? requestOf(body, request.headers) : await resumed(action, body, request.headers);
    if (!streams) return say(response, 200, await answer(asked));
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
    const event = (data) => response.write(`data: ${JSON.stringify(data)}\n\n`);
    try {
      const result = await answer(asked);
      const waits = result.approval_required ?? result.consent_required;
      if (waits) {
        const type = result.approval_required ? "approval_required" : "consent_required";
        event({ type, tool: waits.tool, detail: waits });
      } else {
        event({ type: "content", delta: result.response });
      }
      event({ type: "done", model, tool_calls_made: result.tool_calls_made });
    } catch (error) {
      event({ type: "error", message: String(error?.message ?? error) });
    }
    response.end("data: [DONE]\n\n");
  } catch (error) {
    if (!error?.status || !Number.isInteger(error.status)) console.error(error?.stack ?? error);
    const status = [400, 404, 413].includes(error?.status) ? error.status : 500;
    say(response, status, { error: String(error?.message ?? error), request_id: request.headers["x-request-id"] ?? "" });
  }
}

// A promise that nobody waits for is the agent's mistake in one request, and no reason to end all others.
process.on("unhandledRejection", (error) => console.error(error?.stack ?? error));
process.on("SIGTERM", () => process.exit(0));
const server = createServer((request, response) => void serve(request, response));
listen.call(server, port, host, () => console.log(`${name} listens on port ${port}`));

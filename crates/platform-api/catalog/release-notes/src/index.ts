// Answers POST /invoke with release notes for a repository.
import { createServer } from "node:http";
import OpenAI from "openai";

import { latestRelease, mergedSince, type PullRequest } from "./github";

const SYSTEM_PROMPT =
  process.env.SYSTEM_PROMPT ??
  "You write release notes for the people who use the software. Group changes under New, Better and Fixed, one plain sentence each, and leave out what users cannot notice.";

const client = new OpenAI();

async function write(repository: string, changes: PullRequest[]): Promise<string> {
  const list = changes.map((change) => `#${change.number} ${change.title}\n${change.body ?? ""}`).join("\n\n");
  const completion = await client.chat.completions.create({
    model: "gpt-4o",
    messages: [
      { role: "system", content: SYSTEM_PROMPT },
      { role: "user", content: `Repository ${repository}. Merged since the last release:\n\n${list}` },
    ],
  });
  return completion.choices[0].message.content ?? "";
}

export async function handler(request: { message: string }): Promise<{ response: string }> {
  const repository = request.message.trim();
  if (!/^[\w.-]+\/[\w.-]+$/.test(repository)) {
    return { response: "Name a repository as owner/name." };
  }
  const release = await latestRelease(repository);
  const changes = await mergedSince(repository, release?.published_at);
  if (changes.length === 0) {
    return { response: "Nothing was merged since the last release." };
  }
  return { response: await write(repository, changes) };
}

const server = createServer(async (request, response) => {
  const answer = (status: number, body: unknown) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  };
  if (request.url === "/healthz") {
    return answer(200, { status: "ok" });
  }
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of request) {
      chunks.push(chunk as Buffer);
    }
    answer(200, await handler(JSON.parse(Buffer.concat(chunks).toString("utf8"))));
  } catch (error) {
    answer(500, { error: error instanceof Error ? error.message : "failed" });
  }
});

server.listen(Number(process.env.PORT ?? 8080));

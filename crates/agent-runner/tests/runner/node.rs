//! Agents in JavaScript and TypeScript, by our own runner.

use agent_runner::{Isolation, Limits, Phase};

use crate::support::Host;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs npm and its registry: cargo xtask test"]
async fn handlers_in_javascript_and_typescript_answer() {
    let host = Host::new("node", Isolation::Netns).await;
    let plain = "export async function handler(request, context) {\n  const seen = await fetch('https://api.stripe.com/x');\n  \
                 return { response: `${request.message} ${(await seen.json()).name}` };\n}\n";
    let artifact = host.build(&[("agent.mjs", plain)], &[]).await;
    let agent = host.start("default.plain", "v1", &artifact, Limits::default());
    host.until(&agent, |status| status.phase == Phase::Running).await;
    let (status, body) = host.invoke(&agent, "hello").await;
    assert_eq!((status, body["response"].as_str()), (200, Some("hello api.stripe.com")), "{body}");

    // A package, a file without its ending, and a server of its own beside the handler.
    let index = "import { createServer } from 'node:http';\nimport ms from 'ms';\nimport { loud } from './loud';\n\
                 export const handler = async (request: { message: string }) => ({ response: loud(request.message) + ms(60000) });\n\
                 createServer((_, answer) => answer.end('mine')).listen(Number(process.env.PORT ?? 8080));\n";
    let loud = "export function loud(text: string): string { return text.toUpperCase(); }\n";
    let artifact = host.build(&[("src/index.ts", index), ("src/loud.ts", loud)], &["ms@2.1.3"]).await;
    let agent = host.start("default.typed", "v1", &artifact, Limits::default());
    host.until(&agent, |status| status.phase == Phase::Running).await;
    let (status, body) = host.invoke(&agent, "hello ").await;
    assert_eq!((status, body["response"].as_str()), (200, Some("HELLO 1m")), "{body}");

    let artifact =
        host.build(&[("agent.mjs", "import 'nothing-of-this-name';\nexport const handler = () => 1;\n")], &[]).await;
    let agent = host.start("default.broken", "v1", &artifact, Limits::default());
    let status = host.until(&agent, |status| matches!(status.phase, Phase::Failed { .. })).await;
    let Phase::Failed { reason } = status.phase else { unreachable!("waited for it") };
    assert!(reason.contains("nothing-of-this-name"), "{reason}");
}

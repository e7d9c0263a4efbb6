//! Agents in the forms that people write, with the real SDKs inside: each is deployed as it is, answers through the
//! gateway, and never sees a provider's key.

use serde_json::json;

use crate::support::Host;

/// An agent of one file, what it needs, and what it answers to `ping`.
async fn answers(host: &Host, name: &str, file: (&str, &str), requirements: &str, answer: &str) {
    host.deploy(name, &[file], json!({"requirements": requirements})).await.expect(200);
    host.until(name, "Running").await;
    let reply = host.invoke(name, "ping").await;
    assert_eq!(reply.status, 200, "{}\n{}", reply.text, host.logs(name).await);
    assert_eq!(reply.expect(200)["response"], answer, "{}", host.logs(name).await);
    let events = host.events(reply.headers["x-run-id"].to_str().unwrap()).await;
    assert!(events.iter().any(|event| event["type"] == "LLM_CALL"), "{events:#?}");
    assert_eq!(events.last().unwrap()["type"], "COMPLETED");
}

#[tokio::test]
#[ignore = "needs uv and the package index; `cargo xtask test` installs it"]
async fn openais_sdk_is_answered_whole_and_streamed() {
    let host = Host::start("running-openai").await;
    let code = "import os\nfrom openai import OpenAI\n\nclient = OpenAI()\n\n\
        def handler(request):\n    \
        messages = [{'role': 'user', 'content': request['message']}]\n    \
        whole = client.chat.completions.create(model='gpt-4o-mini', messages=messages)\n    \
        text = ''\n    \
        for chunk in client.chat.completions.create(model='gpt-4o-mini', messages=messages, stream=True):\n        \
        text += (chunk.choices[0].delta.content or '') if chunk.choices else ''\n    \
        assert text == whole.choices[0].message.content\n    \
        vector = client.embeddings.create(model='gpt-4o-mini', input='x').data[0].embedding\n    \
        return f'{text} {vector} {os.environ[\"OPENAI_API_KEY\"]}'\n";
    let answer = "pong: ping [0.25, 0.5] platform-managed";
    answers(&host, "with-openai", ("agent.py", code), "openai==2.6.1", answer).await;
}

#[tokio::test]
#[ignore = "needs uv and the package index; `cargo xtask test` installs it"]
async fn anthropics_sdk_is_answered() {
    let host = Host::start("running-anthropic").await;
    let code = "import anthropic\n\nclient = anthropic.Anthropic()\n\n\
        def handler(request):\n    \
        reply = client.messages.create(model='claude-sonnet-4-5', max_tokens=100,\n        \
        messages=[{'role': 'user', 'content': request['message']}])\n    \
        return reply.content[0].text\n";
    answers(&host, "with-anthropic", ("agent.py", code), "anthropic==0.72.0", "pong: ping").await;
}

#[tokio::test]
#[ignore = "needs uv and the package index; `cargo xtask test` installs it"]
async fn a_graph_of_langgraph_over_langchain_calls_its_tool() {
    let host = Host::start("running-langgraph").await;
    let code = "from langchain_core.tools import tool\nfrom langchain_openai import ChatOpenAI\n\
        from langgraph.prebuilt import create_react_agent\n\n\
        @tool\ndef shout(message: str) -> str:\n    '''Say it louder.'''\n    return message.upper()\n\n\
        graph = create_react_agent(ChatOpenAI(model='gpt-4o-mini'), [shout])\n\n\
        def handler(request):\n    \
        state = graph.invoke({'messages': [('user', request['message'])]})\n    \
        return state['messages'][-1].content\n";
    let requirements = "langchain-core==1.0.2\nlangchain-openai==1.0.1\nlanggraph==1.0.1\nlanggraph-prebuilt==1.0.1";
    answers(&host, "with-langgraph", ("agent.py", code), requirements, "pong: PING").await;
}

#[tokio::test]
#[ignore = "needs uv and the package index; `cargo xtask test` installs it"]
async fn an_agent_of_pydantic_ai_calls_its_tool() {
    let host = Host::start("running-pydantic").await;
    let code = "from pydantic_ai import Agent\n\nagent_of_ours = Agent('openai:gpt-4o-mini')\n\n\
        @agent_of_ours.tool_plain\ndef shout(message: str) -> str:\n    '''Say it louder.'''\n    return message.upper()\n\n\
        async def handler(request):\n    \
        return (await agent_of_ours.run(request['message'])).output\n";
    let requirements = "pydantic-ai-slim[openai]==1.9.1\nopentelemetry-api==1.37.0";
    answers(&host, "with-pydantic-ai", ("agent.py", code), requirements, "pong: PING").await;
}

#[tokio::test]
#[ignore = "needs node and the package registry; `cargo xtask test` installs what else it needs"]
async fn a_handler_in_typescript_with_openais_sdk_is_answered() {
    let host = Host::start("running-node").await;
    let code = "import OpenAI from 'openai';\n\nconst client = new OpenAI();\n\n\
        export async function handler(request: { message: string }): Promise<string> {\n  \
        const reply = await client.chat.completions.create({\n    \
        model: 'gpt-4o-mini', messages: [{ role: 'user', content: request.message }],\n  });\n  \
        return reply.choices[0].message.content ?? '';\n}\n";
    answers(&host, "with-node", ("agent.ts", code), "openai@6.7.0", "pong: ping").await;
}

#[tokio::test]
#[ignore = "needs uv; `cargo xtask test` installs it"]
async fn an_agent_without_code_is_the_platforms_own_loop() {
    let host = Host::start("running-loop").await;
    let more = json!({"required_tools": ["echo-tool"], "system_prompt": "Be brief.",
        "llm_configs": [{"role": "chat", "provider": "openai", "model": "gpt-4o-mini"}]});
    let deployed = host.deploy("looped", &[("README.md", "An agent that echoes.\n")], more).await.expect(200);
    assert_eq!(deployed["policies_created"], json!(["looped-echo-tool-auto"]), "{deployed}");
    host.until("looped", "Running").await;
    let reply = host.invoke("looped", "ping").await;
    let body = reply.expect(200);
    assert_eq!(body["response"], "pong: {\"echo\":\"ping\",\"reply\":\"ping\"}", "{body}");
    let events = host.events(reply.headers["x-run-id"].to_str().unwrap()).await;
    let calls = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
    assert_eq!((calls("LLM_CALL"), calls("TOOL_CALLED")), (2, 1), "{events:#?}");
    let asked = host.model.asked.lock().unwrap().clone();
    assert_eq!(asked[0].1["messages"][0], json!({"role": "system", "content": "Be brief."}));
}

//! Input that hurts, made to measure: each shape in any size, so that the work for two sizes can be compared.

use std::fmt::Write;

/// A shape of input.
pub struct Shape {
    /// How it hurts.
    pub name: &'static str,
    /// Files of a size; what is counted differs by shape.
    pub files: fn(usize) -> Files,
    /// A size that is answered at once.
    pub small: usize,
    /// The size that must be survived.
    pub large: usize,
}

/// Path and text of each file.
pub type Files = Vec<(String, String)>;

fn py(text: String) -> Files {
    vec![("agent.py".into(), text)]
}

fn js(text: String) -> Files {
    vec![("agent.js".into(), text)]
}

fn tsx(text: String) -> Files {
    vec![("agent.tsx".into(), text)]
}

/// `open` n times, `core`, `close` n times.
fn nested(open: &str, core: &str, close: &str, n: usize) -> String {
    format!("{}{core}{}", open.repeat(n), close.repeat(n))
}

fn each(n: usize, mut line: impl FnMut(usize, &mut String)) -> String {
    let mut text = String::new();
    (0..n).for_each(|i| line(i, &mut text));
    text
}

macro_rules! lines {
    ($n:expr, $i:ident => $($format:tt)*) => {
        each($n, |$i, text| { let _ = writeln!(text, $($format)*); })
    };
}

const OPENAI: &str = "import os\nimport requests\nfrom openai import OpenAI\nclient = OpenAI()\n";
const AGENT: &str = "from agents import Agent\n";

/// Every shape.
pub const SHAPES: &[Shape] = &[
    // Depth.
    Shape {
        name: "parentheses",
        small: 10_000,
        large: 100_000,
        files: |n| py(format!("x = {}\n", nested("(", "1", ")", n))),
    },
    Shape { name: "lists", small: 10_000, large: 100_000, files: |n| py(format!("x = {}\n", nested("[", "", "]", n))) },
    Shape {
        name: "dicts",
        small: 10_000,
        large: 100_000,
        files: |n| py(format!("x = {}\n", nested("{1:", "1", "}", n))),
    },
    Shape {
        name: "calls",
        small: 10_000,
        large: 100_000,
        files: |n| py(format!("f = 1\n{}\n", nested("f(", "", ")", n))),
    },
    Shape {
        name: "calls-of-unknown",
        small: 10_000,
        large: 100_000,
        files: |n| py(format!("{}\n", nested("f(", "", ")", n))),
    },
    Shape {
        name: "unclosed-parentheses",
        small: 10_000,
        large: 100_000,
        files: |n| py(format!("x = {}\n", "(".repeat(n))),
    },
    Shape {
        name: "attribute-chain",
        small: 10_000,
        large: 100_000,
        files: |n| py(format!("{OPENAI}client{}()\n", ".a".repeat(n))),
    },
    Shape {
        name: "method-chain",
        small: 10_000,
        large: 100_000,
        files: |n| py(format!("{OPENAI}client{}\n", ".a()".repeat(n))),
    },
    Shape {
        name: "method-chain-js",
        small: 10_000,
        large: 100_000,
        files: |n| js(format!("import z from 'zod';\nz{}\n", ".a()".repeat(n))),
    },
    Shape {
        name: "call-of-call",
        small: 10_000,
        large: 100_000,
        files: |n| py(format!("def f():\n    return f\nf{}\n", "()".repeat(n))),
    },
    Shape {
        name: "subscript-chain",
        small: 10_000,
        large: 100_000,
        files: |n| py(format!("x = {{}}\ny = x{}\n", "['a']".repeat(n))),
    },
    Shape {
        name: "lambdas",
        small: 1_000,
        large: 10_000,
        files: |n| py(format!("f = {}\n", nested("lambda x: ", "x", "", n))),
    },
    Shape {
        name: "arrows",
        small: 1_000,
        large: 10_000,
        files: |n| js(format!("f = {}\n", nested("x => ", "fetch(x)", "", n))),
    },
    Shape {
        name: "arrows-with-this",
        small: 1_000,
        large: 10_000,
        files: |n| js(format!("f = {}\n", nested("() => (this.x = 1, ", "1", ")", n))),
    },
    Shape {
        name: "ternaries",
        small: 10_000,
        large: 100_000,
        files: |n| js(format!("x = {}\n", nested("a ? b : ", "c", "", n))),
    },
    Shape {
        name: "ternaries-to-the-left",
        small: 1_000,
        large: 10_000,
        files: |n| js(format!("x = {}\n", nested("a ? ", "c", " : b", n))),
    },
    Shape {
        name: "conditionals",
        small: 10_000,
        large: 100_000,
        files: |n| py(format!("x = {}\n", nested("a if b else ", "c", "", n))),
    },
    Shape {
        name: "templates",
        small: 1_000,
        large: 10_000,
        files: |n| js(format!("x = {}\n", nested("`${", "1", "}`", n))),
    },
    Shape {
        name: "jsx",
        small: 1_000,
        large: 10_000,
        files: |n| tsx(format!("x = {}\n", nested("<a b={c}>", "", "</a>", n))),
    },
    Shape {
        name: "objects-js",
        small: 10_000,
        large: 100_000,
        files: |n| js(format!("x = {}\n", nested("{a:", "1", "}", n))),
    },
    Shape {
        name: "generic-types",
        small: 1_000,
        large: 10_000,
        files: |n| tsx(format!("let x: {}\n", nested("A<", "B", ">", n))),
    },
    Shape {
        name: "nested-functions",
        small: 200,
        large: 1_000,
        files: |n| {
            py(each(n, |i, text| {
                let _ = writeln!(text, "{}def f{i}(x):", " ".repeat(i));
            }) + &" ".repeat(n)
                + "return requests.get(x)\n")
        },
    },
    Shape {
        name: "nested-tries",
        small: 200,
        large: 1_000,
        files: |n| {
            py(each(n, |i, text| {
                let _ = writeln!(text, "{}try:", " ".repeat(i));
            }) + &" ".repeat(n)
                + "import a\n"
                + &each(n, |i, text| {
                    let _ = writeln!(text, "{}except: pass", " ".repeat(n - 1 - i));
                }))
        },
    },
    Shape {
        name: "nested-ifs",
        small: 200,
        large: 1_000,
        files: |n| {
            py(each(n, |i, text| {
                let _ = writeln!(text, "{0}if a:\n{0} x = {i}\n{0} f(x)", " ".repeat(i));
            }))
        },
    },
    Shape {
        name: "nested-ifs-js",
        small: 1_000,
        large: 10_000,
        files: |n| js(nested("if (a) { x = 1; f(x); ", "", "}", n)),
    },
    // Width.
    Shape {
        name: "concatenation",
        small: 5_000,
        large: 50_000,
        files: |n| py(format!("{OPENAI}x = 'a'{}\nrequests.get(x)\n", " + 'b'".repeat(n))),
    },
    Shape {
        name: "concatenation-of-names",
        small: 5_000,
        large: 50_000,
        files: |n| py(format!("{OPENAI}a = 'a'\nx = a{}\nrequests.get(x)\n", " + a".repeat(n))),
    },
    Shape {
        name: "or-chain",
        small: 5_000,
        large: 50_000,
        files: |n| py(format!("{OPENAI}x = a{}\nrequests.get(x)\n", " or a".repeat(n))),
    },
    Shape {
        name: "long-line",
        small: 100_000,
        large: 1_000_000,
        files: |n| js(format!("x = [{}];\n", "1,".repeat(n / 2))),
    },
    Shape {
        name: "long-string",
        small: 100_000,
        large: 1_000_000,
        files: |n| py(format!("x = '{}'\n", "a".repeat(n))),
    },
    Shape {
        name: "long-fstring",
        small: 5_000,
        large: 50_000,
        files: |n| py(format!("{OPENAI}requests.get(f'{}')\n", "{a}".repeat(n))),
    },
    Shape {
        name: "arguments",
        small: 5_000,
        large: 50_000,
        files: |n| {
            py(format!(
                "def f(**k):\n    return k['a']\nf({})\n",
                each(n, |i, text| {
                    let _ = write!(text, "a{i}=1,");
                })
            ))
        },
    },
    Shape {
        name: "parameters",
        small: 1_000,
        large: 10_000,
        files: |n| {
            py(format!(
                "def f({}):\n    pass\n{}",
                each(n, |i, text| {
                    let _ = write!(text, "a{i}=1,");
                }),
                "f(1)\n".repeat(n)
            ))
        },
    },
    Shape {
        name: "parameters-used",
        small: 200,
        large: 2_000,
        files: |n| {
            py(format!(
                "{OPENAI}def f({}):\n{}f({})\n",
                each(n, |i, text| {
                    let _ = write!(text, "a{i},");
                }),
                lines!(n, i => "    requests.get(a{i})"),
                "'https://a.io',".repeat(n)
            ))
        },
    },
    Shape {
        name: "globals",
        small: 1_000,
        large: 10_000,
        files: |n| py(format!("def f():\n{}{}", lines!(n, i => "    global a{i}"), lines!(n, i => "    a{i} = 1"))),
    },
    Shape {
        name: "docstring-many-methods",
        small: 1_000,
        large: 10_000,
        files: |n| {
            py(format!(
                "class A:\n{}{}",
                lines!(n, i => "    def f{i}(self):\n        self.x{i} = 1"),
                lines!(n, i => "A().f{i}()")
            ))
        },
    },
    // Quotes.
    Shape {
        name: "unclosed-triple-quotes",
        small: 64 << 10,
        large: 1 << 20,
        files: |n| py(format!("import requests\nx = \"\"\"{}", "a 'b' \"c\" f(x)\n".repeat(n / 15))),
    },
    Shape {
        name: "unclosed-quotes",
        small: 64 << 10,
        large: 1 << 20,
        files: |n| py(format!("import requests\n{}", "x = 'abc\n".repeat(n / 9))),
    },
    Shape {
        name: "unclosed-fstring",
        small: 64 << 10,
        large: 1 << 20,
        files: |n| py(format!("import requests\nx = f\"\"\"{}", "a {b} 'c' \"d\"\n".repeat(n / 14))),
    },
    Shape {
        name: "unclosed-fstring-brace",
        small: 64 << 10,
        large: 1 << 20,
        files: |n| py(format!("import requests\nx = f'''{}", "a {b 'c' \"d\"\n".repeat(n / 13))),
    },
    Shape {
        name: "unclosed-template",
        small: 64 << 10,
        large: 1 << 20,
        files: |n| js(format!("import a from 'a';\nx = `{}", "a ${b} 'c' \"d\"\n".repeat(n / 15))),
    },
    Shape {
        name: "unclosed-comment",
        small: 64 << 10,
        large: 1 << 20,
        files: |n| js(format!("import a from 'a';\n{}", "x /* y\n".repeat(n / 7))),
    },
    Shape {
        name: "unclosed-jsx",
        small: 4 << 10,
        large: 64 << 10,
        files: |n| tsx(format!("import a from 'a';\nx = {}", "<a b={c}>d ".repeat(n / 11))),
    },
    Shape { name: "only-quotes", small: 64 << 10, large: 1 << 20, files: |n| py("\"'".repeat(n / 2)) },
    Shape { name: "only-braces", small: 4 << 10, large: 64 << 10, files: |n| js("{".repeat(n)) },
    Shape { name: "only-angles", small: 4 << 10, large: 64 << 10, files: |n| tsx("<".repeat(n)) },
    Shape {
        name: "noise",
        small: 64 << 10,
        large: 512 << 10,
        files: |n| {
            js(each(n / 2, |i, text| {
                text.push_str([") ", "( ", "} ", "{ ", "=>", "if", "` ", ", ", "/ ", "< "][i * 7919 % 10])
            }))
        },
    },
    Shape {
        name: "noise-python",
        small: 64 << 10,
        large: 512 << 10,
        files: |n| {
            py(each(n / 2, |i, text| {
                text.push_str([") ", "( ", ": ", "{ ", "\n ", "if", "' ", ", ", "] ", "[ "][i * 7919 % 10])
            }))
        },
    },
    // Values.
    Shape {
        name: "cyclic-values",
        small: 1_000,
        large: 10_000,
        files: |n| py(format!("{OPENAI}{}requests.get(a0)\n", lines!(n, i => "a{i} = a{} + '/'", (i + 1) % n))),
    },
    Shape {
        name: "exponential-values",
        small: 60,
        large: 600,
        files: |n| {
            py(format!(
                "{OPENAI}x0 = 'https://a.io/'\n{}requests.get(x{n})\n",
                lines!(n, i => "x{} = x{i} + x{i}", i + 1)
            ))
        },
    },
    Shape {
        name: "exponential-uses",
        small: 200,
        large: 2_000,
        files: |n| {
            py(format!(
                "{OPENAI}x0 = 'https://a.io/'\n{}{}",
                lines!(60, i => "x{} = x{i} + x{i}", i + 1),
                "requests.get(x60)\n".repeat(n)
            ))
        },
    },
    Shape {
        name: "exponential-large-text",
        small: 10_000,
        large: 100_000,
        files: |n| {
            py(format!(
                "{OPENAI}x0 = '{}'\n{}requests.get(x12)\n",
                "a".repeat(n),
                lines!(12, i => "x{} = x{i} + x{i}", i + 1)
            ))
        },
    },
    Shape {
        name: "exponential-lists",
        small: 20,
        large: 200,
        files: |n| {
            py(format!("{AGENT}x0 = [f]\n{}Agent(tools=x{n})\n", lines!(n, i => "x{} = [*x{i}, *x{i}, *x{i}]", i + 1)))
        },
    },
    Shape {
        name: "exponential-branches",
        small: 60,
        large: 600,
        files: |n| {
            py(format!(
                "{OPENAI}x0 = a\n{}requests.get(x{n})\n",
                lines!(n, i => "x{} = (x{i} + 'a') if c else (x{i} + 'b')", i + 1)
            ))
        },
    },
    Shape {
        name: "mutual-recursion",
        small: 500,
        large: 5_000,
        files: |n| {
            py(format!(
                "{OPENAI}{}requests.get(f0('a'))\n",
                lines!(n, i => "def f{i}(x):\n    return f{}(x) + f{}(x)", (i + 1) % n, (i * 7 + 1) % n)
            ))
        },
    },
    Shape {
        name: "mutual-callers",
        small: 500,
        large: 5_000,
        files: |n| {
            py(format!(
                "{OPENAI}{}f0('a')\n",
                lines!(n, i => "def f{i}(x):\n    requests.get(x)\n    f{}(x)\n    f{}(x)", (i + 1) % n, (i * 7 + 1) % n)
            ))
        },
    },
    Shape {
        name: "one-helper-many-calls",
        small: 2_000,
        large: 20_000,
        files: |n| {
            py(format!("{OPENAI}def f(url):\n    return requests.get(url)\n{}", lines!(n, i => "f('https://a{i}.io')")))
        },
    },
    Shape {
        name: "helpers-of-one-helper",
        small: 500,
        large: 5_000,
        files: |n| {
            py(format!(
                "{OPENAI}def f(url, k):\n    return requests.get(url)\n{}",
                lines!(n, i => "def g{i}(u):\n    return f(u, {i})\ng{i}('https://a{i}.io')")
            ))
        },
    },
    Shape {
        name: "constructions",
        small: 2_000,
        large: 20_000,
        files: |n| {
            py(format!(
                "{OPENAI}class A:\n    def __init__(self, u):\n        self.u = u\n    def go(self):\n        return requests.get(self.u)\n{}",
                lines!(n, i => "A('https://a{i}.io').go()")
            ))
        },
    },
    Shape {
        name: "if-elif-arms",
        small: 1_000,
        large: 10_000,
        files: |n| {
            py(format!(
                "{OPENAI}if a == 0:\n    x = 'https://a.io'\n{}requests.get(x)\n",
                lines!(n, i => "elif a == {i}:\n    x = 'https://a{i}.io'\n    requests.get(x)")
            ))
        },
    },
    Shape {
        name: "ifs-with-uses",
        small: 1_000,
        large: 10_000,
        files: |n| {
            py(format!(
                "{OPENAI}x = 'https://a.io'\n{}",
                lines!(n, i => "if a == {i}:\n    x = 'https://a{i}.io'\nrequests.get(x)")
            ))
        },
    },
    Shape {
        name: "else-if-js",
        small: 1_000,
        large: 10_000,
        files: |n| {
            js(format!(
                "let x = 'https://a.io';\nif (a == 0) {{ x = 1; }}\n{}",
                lines!(n, i => "else if (a == {i}) {{ x = 'https://a{i}.io'; fetch(x); }}")
            ))
        },
    },
    Shape {
        name: "switch-js",
        small: 1_000,
        large: 10_000,
        files: |n| {
            js(format!(
                "let x = 'https://a.io';\nswitch (a) {{\n{}}}\nfetch(x);\n",
                lines!(n, i => "case {i}: x = 'https://a{i}.io'; fetch(x); break;")
            ))
        },
    },
    Shape {
        name: "reassignments",
        small: 2_000,
        large: 20_000,
        files: |n| py(format!("{OPENAI}{}", lines!(n, i => "x = 'https://a{i}.io'\nrequests.get(x)"))),
    },
    Shape {
        name: "reassignments-used-in-function",
        small: 2_000,
        large: 20_000,
        files: |n| {
            py(format!(
                "{OPENAI}{}{}",
                lines!(n, i => "x = 'https://a{i}.io'"),
                lines!(n, i => "def f{i}():\n    return requests.get(x)")
            ))
        },
    },
    Shape {
        name: "conditional-assignments-closure",
        small: 1_000,
        large: 10_000,
        files: |n| {
            py(format!(
                "{OPENAI}{}{}",
                lines!(n, i => "if a:\n    x = 'https://a{i}.io'"),
                lines!(n, i => "def f{i}():\n    return requests.get(x)")
            ))
        },
    },
    Shape {
        name: "growing-text",
        small: 1_000,
        large: 10_000,
        files: |n| py(format!("{OPENAI}x = 'https://a.io'\n{}requests.get(x)\n", "x += '/a'\n".repeat(n))),
    },
    Shape {
        name: "appends",
        small: 1_000,
        large: 10_000,
        files: |n| {
            py(format!("{AGENT}T = []\n{}{}", lines!(n, i => "T.append(f{i})"), "Agent(tools=T)\n".repeat(n / 20)))
        },
    },
    Shape {
        name: "pushes-js",
        small: 1_000,
        large: 10_000,
        files: |n| {
            js(format!(
                "import {{ Agent }} from '@openai/agents';\nconst T = [];\n{}{}",
                lines!(n, i => "T.push(f{i});"),
                "new Agent({tools: T});\n".repeat(n / 20)
            ))
        },
    },
    Shape {
        name: "long-list-many-uses",
        small: 1_000,
        large: 10_000,
        files: |n| {
            py(format!(
                "{AGENT}T = [{}]\n{}",
                each(n, |i, text| {
                    let _ = write!(text, "f{i},");
                }),
                "Agent(tools=T)\n".repeat(n / 20)
            ))
        },
    },
    Shape {
        name: "long-dict-many-uses",
        small: 1_000,
        large: 10_000,
        files: |n| {
            py(format!(
                "{OPENAI}D = {{{}}}\n{}",
                each(n, |i, text| {
                    let _ = write!(text, "'k{i}': 'https://a{i}.io',");
                }),
                lines!(n, i => "requests.get(D['k{i}'])")
            ))
        },
    },
    Shape {
        name: "item-assignments",
        small: 1_000,
        large: 10_000,
        files: |n| {
            py(format!(
                "{OPENAI}D = {{}}\n{}{}",
                lines!(n, i => "D['k{i}'] = 'https://a{i}.io'"),
                lines!(n, i => "requests.get(D['k{i}'])")
            ))
        },
    },
    Shape {
        name: "attribute-assignments",
        small: 1_000,
        large: 10_000,
        files: |n| {
            py(format!(
                "{OPENAI}class C: pass\nc = C()\n{}{}",
                lines!(n, i => "c.k{i} = 'https://a{i}.io'"),
                lines!(n, i => "requests.get(c.k{i})")
            ))
        },
    },
    Shape {
        name: "self-assignments",
        small: 1_000,
        large: 10_000,
        files: |n| {
            py(format!(
                "{OPENAI}class C:\n    def f(self):\n{}{}",
                lines!(n, i => "        self.x = 'https://a{i}.io'"),
                "        requests.get(self.x)\n".repeat(n)
            ))
        },
    },
    Shape {
        name: "inheritance",
        small: 500,
        large: 5_000,
        files: |n| {
            py(format!(
                "{OPENAI}class A0: pass\n{}A{n}().x()\n",
                lines!(n, i => "class A{}(A{i}):\n    def f(self):\n        return requests.get(self.url)", i + 1)
            ))
        },
    },
    Shape {
        name: "inheritance-cycle",
        small: 500,
        large: 5_000,
        files: |n| {
            py(format!(
                "{OPENAI}{}A0().x()\n",
                lines!(n, i => "class A{i}(A{}):\n    def f(self):\n        return requests.get(self.url)", (i + 1) % n)
            ))
        },
    },
    Shape {
        name: "options",
        small: 500,
        large: 5_000,
        files: |n| {
            py(format!(
                "import argparse\n{OPENAI}p = argparse.ArgumentParser()\n{}a = p.parse_args()\n{}",
                lines!(n, i => "p.add_argument('--u{i}', default='https://a{i}.io')"),
                lines!(n, i => "requests.get(a.u{i})")
            ))
        },
    },
    Shape {
        name: "models",
        small: 1_000,
        large: 10_000,
        files: |n| {
            py(format!(
                "{OPENAI}{}",
                lines!(n, i => "client.chat.completions.create(model='gpt-4o', messages=[{{'role': 'system', 'content': 'You are agent number {i}.'}}])")
            ))
        },
    },
    Shape {
        name: "prompts",
        small: 1_000,
        large: 10_000,
        files: |n| py(lines!(n, i => "M{i} = [{{'role': 'system', 'content': 'You are agent number {i}.'}}]")),
    },
    Shape {
        name: "hosts",
        small: 1_000,
        large: 10_000,
        files: |n| py(format!("{OPENAI}{}", lines!(n, i => "requests.get('https://a{i}.io/x')"))),
    },
    Shape {
        name: "tools-of-the-environment",
        small: 1_000,
        large: 10_000,
        files: |n| py(format!("{OPENAI}{}", lines!(n, i => "requests.get(os.environ['TOOL_A{i}_URL'] + '/x')"))),
    },
    Shape {
        name: "function-tools",
        small: 1_000,
        large: 10_000,
        files: |n| {
            py(format!(
                "from langchain_core.tools import tool\n{}",
                lines!(n, i => "@tool\ndef f{i}(x):\n    '''Does {i}.'''")
            ))
        },
    },
    Shape {
        name: "handlers",
        small: 1_000,
        large: 10_000,
        files: |n| {
            py(format!(
                "from fastapi import FastAPI\napp = FastAPI()\n{}",
                lines!(n, i => "@app.get('/{i}')\ndef f{i}(x):\n    return x")
            ))
        },
    },
    Shape {
        name: "exports-js",
        small: 1_000,
        large: 10_000,
        files: |n| {
            vec![
                ("a.js".into(), lines!(n, i => "export const x{i} = 'https://a{i}.io';")),
                ("b.js".into(), lines!(n, i => "import {{ x{i} }} from './a.js';\nfetch(x{i});")),
            ]
        },
    },
    // Many files.
    Shape {
        name: "files",
        small: 1_000,
        large: 10_000,
        files: |n| {
            (0..n)
                .map(|i| {
                    (
                        format!("p{}/m{i}.py", i % 100),
                        format!("import os\nfrom p{}.m{} import f\nx = f({i})\n", (i + 1) % n % 100, (i + 1) % n),
                    )
                })
                .collect()
        },
    },
    Shape {
        name: "files-in-one-folder",
        small: 1_000,
        large: 10_000,
        files: |n| {
            (0..n)
                .map(|i| (format!("m{i}.ts"), format!("import {{ f }} from './m{}';\nf({i});\n", (i + 1) % n)))
                .collect()
        },
    },
    Shape { name: "imports", small: 2_000, large: 20_000, files: |n| py(lines!(n, i => "import package{i}.part")) },
    Shape {
        name: "imports-with-manifest",
        small: 2_000,
        large: 20_000,
        files: |n| {
            vec![
                ("agent.py".into(), lines!(n, i => "import package{i}")),
                ("requirements.txt".into(), lines!(n, i => "package{i}==1.{i}")),
            ]
        },
    },
    Shape {
        name: "imports-js",
        small: 2_000,
        large: 20_000,
        files: |n| {
            vec![
                ("agent.js".into(), lines!(n, i => "import a{i} from 'package{i}';")),
                (
                    "package.json".into(),
                    format!(
                        "{{\"dependencies\": {{{}\"z\": \"1\"}}}}",
                        each(n, |i, text| {
                            let _ = write!(text, "\"package{i}\": \"^1.{i}\",");
                        })
                    ),
                ),
            ]
        },
    },
    Shape {
        name: "import-cycle",
        small: 200,
        large: 2_000,
        files: |n| (0..n).map(|i| (format!("m{i}.py"), format!("from m{} import x\nx()\n", (i + 1) % n))).collect(),
    },
    Shape {
        name: "star-import-cycle",
        small: 200,
        large: 2_000,
        files: |n| {
            (0..n)
                .map(|i| {
                    (
                        format!("m{i}.py"),
                        format!("from m{} import *\nfrom m{} import *\nx()\n", (i + 1) % n, (i * 7 + 2) % n),
                    )
                })
                .collect()
        },
    },
    Shape {
        name: "re-export-cycle",
        small: 200,
        large: 2_000,
        files: |n| {
            (0..n).map(|i| (format!("m{i}.js"), format!("export * from './m{}.js';\nexport * from './m{}.js';\nimport {{ x }} from './m{}.js';\nx();\n", (i + 1) % n, (i * 7 + 2) % n, (i + 3) % n))).collect()
        },
    },
    Shape {
        name: "many-star-imports",
        small: 200,
        large: 2_000,
        files: |n| {
            let mut files: Files = (0..n).map(|i| (format!("m{i}.py"), format!("y{i} = {i}\n"))).collect();
            files.push(("a.py".into(), lines!(n, i => "from m{i} import *") + &lines!(n, i => "y{i}()")));
            files
        },
    },
    Shape {
        name: "deep-folders",
        small: 20,
        large: 200,
        files: |n| (0..n).map(|i| (format!("{}a.py", "d/".repeat(i)), lines!(20, j => "import package{j}"))).collect(),
    },
    Shape {
        name: "manifests",
        small: 100,
        large: 1_000,
        files: |n| {
            (0..n)
                .flat_map(|i| {
                    [
                        (
                            format!("p{i}/package.json"),
                            format!("{{\"name\": \"p{i}\", \"dependencies\": {{\"x\": \"1\"}}}}"),
                        ),
                        (format!("p{i}/a.js"), format!("import x from 'x';\nimport p from 'p{}';\n", (i + 1) % n)),
                    ]
                })
                .collect()
        },
    },
    Shape {
        name: "path-aliases",
        small: 100,
        large: 1_000,
        files: |n| {
            vec![
                (
                    "tsconfig.json".into(),
                    format!(
                        "{{\"compilerOptions\": {{\"paths\": {{{}\"z\": [\"z\"]}}}}}}",
                        each(n, |i, text| {
                            let _ = write!(text, "\"@a{i}/*\": [\"./a{i}/*\"],");
                        })
                    ),
                ),
                ("a.ts".into(), lines!(n, i => "import x{i} from '@b{i}/x';")),
            ]
        },
    },
    // Documents.
    Shape {
        name: "deep-json",
        small: 10_000,
        large: 100_000,
        files: |n| {
            vec![
                ("package.json".into(), nested("{\"a\":", "1", "}", n)),
                ("tsconfig.json".into(), nested("[", "", "]", n)),
            ]
        },
    },
    Shape {
        name: "deep-toml",
        small: 1_000,
        large: 10_000,
        files: |n| {
            vec![("pyproject.toml".into(), format!("[project]\nname = \"a\"\nx = {}\n", nested("[", "", "]", n)))]
        },
    },
    Shape {
        name: "deep-toml-keys",
        small: 1_000,
        large: 10_000,
        files: |n| vec![("pyproject.toml".into(), format!("{}a = 1\n", "a.".repeat(n)))],
    },
    Shape {
        name: "deep-yaml",
        small: 1_000,
        large: 10_000,
        files: |n| {
            vec![
                ("docker-compose.yml".into(), format!("a: {}\n", nested("[", "", "]", n))),
                ("environment.yml".into(), format!("dependencies: {}\n", nested("{a: ", "", "}", n))),
            ]
        },
    },
    Shape {
        name: "huge-package-json",
        small: 10_000,
        large: 100_000,
        files: |n| {
            vec![
                (
                    "package.json".into(),
                    format!(
                        "{{\"dependencies\": {{{}\"z\": \"1\"}}}}",
                        each(n, |i, text| {
                            let _ = write!(text, "\"package{i}\": \"^1.{i}\",");
                        })
                    ),
                ),
                ("a.js".into(), "import z from 'z';\n".into()),
            ]
        },
    },
    Shape {
        name: "notebook",
        small: 1_000,
        large: 10_000,
        files: |n| {
            vec![(
                "a.ipynb".into(),
                format!(
                    "{{\"cells\": [{}{{}}]}}",
                    each(n, |i, text| {
                        let _ =
                            write!(text, "{{\"cell_type\": \"code\", \"source\": [\"import a{i}\\n\", \"x = '''\"]}},");
                    })
                ),
            )]
        },
    },
    Shape {
        name: "dockerfile",
        small: 1_000,
        large: 10_000,
        files: |n| vec![("Dockerfile".into(), lines!(n, i => "RUN pip install package{i} \\\n  && python m{i}.py"))],
    },
];

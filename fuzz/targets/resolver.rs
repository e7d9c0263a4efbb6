//! Programs of several modules, however entangled, have one answer, whatever the order of their files.
#![no_main]

use analyzer_core::{Options, Sources, analyze};
use libfuzzer_sys::fuzz_target;

const MODULES: usize = 4;

/// Bytes as statements: each three choose what is done, to which name, with which.
fn program(data: &[u8]) -> Vec<(String, String)> {
    let mut modules = vec![String::from("import os, requests\nfrom openai import OpenAI\n"); MODULES];
    for (index, three) in data.chunks_exact(3).take(96).enumerate() {
        let module = &mut modules[index % MODULES];
        let name = |byte: u8| format!("{}{}", ["a", "b", "c", "d", "e"][usize::from(byte) % 5], byte % 3);
        let (left, right, other) = (name(three[1]), name(three[2]), name(three[1] ^ three[2]));
        let file = usize::from(three[2]) % MODULES;
        module.push_str(&match three[0] % 20 {
            0 => format!("from m{file} import {left}\n"),
            1 => format!("from m{file} import {right} as {left}\n"),
            2 => format!("import m{file} as {left}\n"),
            3 => format!("from m{file} import *\n"),
            4 => format!("{left} = {right}\n"),
            5 => format!("{left} = {right}.{other}\n"),
            6 => format!("{left} = f\"https://{{{right}}}.example.net/{{{other}}}\"\n"),
            7 => format!("{left} = {right} + \"/x\" + {other}\n"),
            8 => format!("{left} = os.environ.get(\"{right}\", {other})\n"),
            9 => format!("def {left}({right}={other}):\n    return {right}({other})\n"),
            10 => format!("class {left}({right}):\n    {other} = {right}\n    def go(self):\n        self.x = self.{other}\n        return self.x\n"),
            11 => format!("{left} = {right}({other})\n"),
            12 => format!("requests.get({left})\n"),
            13 => format!("{left} = [{right}, {other}, *{left}]\n"),
            14 => format!("{left} = {{\"{right}\": {other}, **{left}}}\n"),
            15 => format!("for {left} in {right}:\n    {other} = {left}\n"),
            16 => format!("if {left}:\n    {right} = {other}\nelse:\n    {right} = \"v\"\n"),
            17 => format!("{left} = OpenAI(base_url={right})\n{left}.chat.completions.create(model={other}, messages=[])\n"),
            18 => format!("{left} = lambda {right}: {other}\n"),
            _ => format!("{left} = \"https://api.acme.io\"\n"),
        });
    }
    modules.into_iter().enumerate().map(|(index, text)| (format!("m{index}.py"), text)).collect()
}

fuzz_target!(|data: &[u8]| {
    let files = program(data);
    let answer = |files: &[(String, String)]| {
        let sources = Sources::new(files.iter().map(|(path, text)| (path.as_str(), text.as_str()))).expect("clean paths");
        format!("{:?}", analyze(&sources, &Options::default()))
    };
    let reversed: Vec<(String, String)> = files.iter().rev().cloned().collect();
    assert_eq!(answer(&files), answer(&reversed));
});

//! What files say of function tools, and which tools there are when all have spoken: what is reported already is not
//! reported again.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{first_sentence, schemas};
use crate::analysis::{Confidence, Step, Tool, ToolKind};
use crate::facts::FunctionId;
use crate::resolve::{At, Ref};
use crate::sites::Context;

/// Something that a file says.
pub(super) enum Said {
    /// This is a tool.
    Tool(Tool),
    /// A function is one; by this name and place, unless it has none.
    Function((usize, FunctionId), Option<Tool>),
    /// A function is a part of one.
    Taken((usize, FunctionId)),
    /// The key of a call in a map of tools.
    Key(At, String),
    /// A tool that is made by a call: by the call's key, else by a name of its own, or of the variable that it is kept in.
    Keyed { call: At, or: Option<(String, Confidence)>, tool: Tool },
    /// What holds only if a call has a key.
    IfKeyed(At, Vec<Said>),
    /// What holds only if no tool of a name is there.
    IfNew(String, Box<Said>),
    /// A name that a table of the program may know a function by, else a tool of its own.
    Declared { name: String, by: Step, tool: Option<Tool> },
}

/// The tools so far.
pub(super) struct Tools<'c, 'a> {
    cx: &'c Context<'a>,
    pub(super) tools: Vec<Tool>,
    names: FxHashSet<String>,
    /// Functions that are reported already.
    functions: FxHashSet<(usize, FunctionId)>,
    /// Calls whose name is their key in a map of tools.
    keys: FxHashMap<At, String>,
    /// What the program's tables hold by name, made when somebody asks.
    dispatch: Option<FxHashMap<String, Vec<At>>>,
}

impl<'c, 'a> Tools<'c, 'a> {
    pub(super) fn new(cx: &'c Context<'a>) -> Self {
        Tools {
            cx,
            tools: Vec::new(),
            names: FxHashSet::default(),
            functions: FxHashSet::default(),
            keys: FxHashMap::default(),
            dispatch: None,
        }
    }

    pub(super) fn hear(&mut self, said: &Said) {
        match said {
            Said::Tool(tool) => self.add(tool.clone()),
            Said::Function(function, tool) => self.add_function(*function, tool.clone()),
            Said::Taken(function) => drop(self.functions.insert(*function)),
            Said::Key(call, key) => drop(self.keys.entry(*call).or_insert_with(|| key.clone())),
            Said::Keyed { call, or, tool } => {
                let key = self.keys.get(call).map(|key| (key, Confidence::High));
                let named = key.or(or.as_ref().map(|(name, confidence)| (name, *confidence)));
                if let Some((name, confidence)) =
                    named.and_then(|(name, confidence)| Some((plausible(name)?, confidence)))
                {
                    self.add(Tool { name, confidence, ..tool.clone() });
                }
            }
            Said::IfKeyed(call, said) => {
                if self.keys.contains_key(call) {
                    said.iter().for_each(|said| self.hear(said));
                }
            }
            Said::IfNew(name, said) => {
                if !self.names.contains(name) {
                    self.hear(said);
                }
            }
            Said::Declared { name, by, tool } => match self.dispatched(name) {
                Some((file, id)) => {
                    self.add_function((file, id), function(self.cx, file, id, Some(name.clone()), by.clone()));
                }
                None => tool.iter().for_each(|tool| self.add(tool.clone())),
            },
        }
    }

    fn add(&mut self, tool: Tool) {
        self.names.insert(tool.name.clone());
        self.tools.push(tool);
    }

    fn add_function(&mut self, function: (usize, FunctionId), tool: Option<Tool>) {
        if self.functions.insert(function)
            && let Some(tool) = tool
        {
            self.add(tool);
        }
    }

    /// The function that a table of the program calls by a name: `HANDLERS = {"count_stock": stock}`.
    fn dispatched(&mut self, name: &str) -> Option<(usize, FunctionId)> {
        let project = self.cx.project;
        let table = self.dispatch.get_or_insert_with(|| schemas::dispatch(self.cx));
        let values = table.get(name)?;
        values.iter().find_map(|&value| {
            project.refer(value, &None).into_iter().find_map(|reference| match reference {
                Ref::Function(file, id) => Some((file, id)),
                _ => None,
            })
        })
    }
}

/// A name that a tool may have.
fn plausible(name: &str) -> Option<String> {
    let name = name.trim();
    (!name.is_empty() && name.len() <= 200 && !name.contains('\n')).then(|| name.to_owned())
}

/// A tool, unless a test makes it up to test with.
pub(super) fn tool(
    cx: &Context,
    name: String,
    file: usize,
    line: u32,
    description: Option<String>,
    by: Step,
) -> Option<Tool> {
    let name = plausible(&name)?;
    unnamed(cx, file, line, description, by).map(|tool| Tool { name, ..tool })
}

/// The same without its name.
pub(super) fn unnamed(cx: &Context, file: usize, line: u32, description: Option<String>, by: Step) -> Option<Tool> {
    if cx.project.is_test(file) {
        return None;
    }
    let path = cx.project.path(file).to_owned();
    Some(Tool {
        name: String::new(),
        kind: ToolKind::Function,
        file: path.clone(),
        line,
        base_url: None,
        detected_url_pattern: None,
        default_url: None,
        service: None,
        description,
        source: None,
        confidence: Confidence::High,
        call_sites: Vec::new(),
        evidence: vec![Step { what: "definition".into(), file: path, line }, by],
    })
}

/// A submitted function as a tool, by a name or its own.
pub(super) fn function(cx: &Context, file: usize, id: FunctionId, name: Option<String>, by: Step) -> Option<Tool> {
    let facts = cx.project.facts(file);
    let function = &facts.functions[id.0 as usize];
    let own = function.name.map(|sym| facts.name(sym).to_owned());
    let description = function.doc.and_then(|doc| facts.text(doc)).map(first_sentence);
    tool(cx, name.or(own)?, file, function.line, description, by)
}

//! Calls that make a tool, or register one.

use super::said::{Said, unnamed};
use super::{Found, first_sentence};
use crate::analysis::Confidence;
use crate::facts::{ExprKind, FunctionId};
use crate::knowledge::index::{Hit, RuleKind};
use crate::knowledge::schema::{Form, FunctionRule};
use crate::resolve::{At, Ref};
use crate::sites::Site;

impl Found<'_, '_> {
    /// `tool({name, …})`, `FunctionTool.from_defaults(fn=add)`, `server.registerTool("name", …)`.
    pub(super) fn calls(&mut self) {
        let cx = self.cx;
        for site in cx.sites_of(self.file) {
            let Some(hit) = self.registers(site) else { continue };
            let before = self.said.len();
            // A name that nobody knows is no other, unless the call has a key.
            if self.call(site, hit) {
                let said = self.said.drain(before..).collect();
                self.said.push(Said::IfKeyed(site.at, said));
            }
        }
    }

    /// What a call makes or registers; whether that holds only if the call has a key in a map of tools.
    fn call(&mut self, site: &Site, hit: Hit) -> bool {
        let cx = self.cx;
        // A decorator that is called is counted with its function.
        let facts = cx.project.facts(site.at.file);
        if facts.functions.iter().any(|f| f.decorators.contains(&site.at.expr)) {
            return false;
        }
        let rule = self.rule(hit).clone();
        let by = cx.step(site.at, format!("call of `{}`", site.symbol.display()));
        self.claim(site.at);
        let classes = self.class_arguments(site.at, &rule);
        if classes.len() > 1 {
            for (file, line, name) in classes {
                self.add(name, file, line, None, by.clone());
            }
            return false;
        }
        if let Some((file, line, name)) = classes.into_iter().next() {
            match self.text(site.at, &rule.name).filter(|given| *given != name) {
                Some(given) => self.add(given, site.at.file, cx.project.line(site.at), None, by),
                None => self.add(name, file, line, None, by),
            }
            return false;
        }
        // One call for many tools, in a loop or a helper: each is where its name is.
        let names = self.texts(site.at, &rule.name);
        if names.len() > 1 || names.len() == 1 && self.is_member_name(site.at, &rule) {
            for known in names {
                let here = (site.at.file, cx.project.line(site.at));
                let (file, line) = if rule.here { here } else { self.named_at(&known) };
                self.add(known.literal_or_default().unwrap_or_default(), file, line, None, by.clone());
            }
            return false;
        }
        let given = self.text(site.at, &rule.name);
        let is_unknown = given.is_none()
            && cx.project.argument(site.at, &None, &rule.name).is_some_and(|(at, _)| self.may_be_name(at));
        let functions = self.function_arguments(site.at, &rule);
        if functions.len() > 1 && given.is_none() {
            for (file, id) in functions {
                self.add_function(file, id, None, by.clone());
            }
            return is_unknown;
        }
        let function = functions.first().copied();
        let description = self.text(site.at, &rule.description).map(|text| first_sentence(&text));
        let python = cx.project.language(site.at.file).is_python();
        if let (Some((file, id)), true) = (function, python) {
            let is_named = cx.project.facts(file).functions[id.0 as usize].expr.is_none();
            let facts = cx.project.facts(file);
            let own = facts.functions[id.0 as usize].name.map(|sym| facts.name(sym));
            // A registration that gives another name is what names the tool.
            let renamed = given.as_deref().is_some_and(|name| Some(name) != own);
            if is_named && !renamed && (given.is_none() || self.is_plain_name(site.at, &rule)) {
                self.add_function(file, id, given, by);
                return is_unknown;
            }
        }
        let own = function.and_then(|(file, id)| {
            let facts = cx.project.facts(file);
            facts.functions[id.0 as usize].name.map(|sym| facts.name(sym).to_owned())
        });
        let own = own.filter(|name| !["execute", "func", "handler", "run", "call", "fn"].contains(&name.as_str()));
        self.said.extend(function.map(Said::Taken));
        let line = cx.project.line(site.at);
        match given {
            Some(name) => self.add(name, site.at.file, line, description, by),
            None => {
                let tool = unnamed(cx, site.at.file, line, description, by);
                let variable = || cx.assigned(site.at).map(|name| (name.to_owned(), Confidence::Medium));
                let or = own.map(|name| (name, Confidence::High)).or_else(variable);
                self.said.extend(tool.map(|tool| Said::Keyed { call: site.at, or, tool }));
            }
        }
        is_unknown
    }

    /// The rule by which a call makes a tool. `server.registerTool("x", …)` of a parameter that nobody annotated is
    /// known by its member, where it is given a name.
    fn registers(&self, site: &Site) -> Option<Hit> {
        let is_call = |hit: &Hit| self.rule(*hit).form == Form::Call;
        let known = site.hits(RuleKind::Function).find(is_call);
        known.or_else(|| {
            let told = self.cx.project.knowledge.by_member(&site.symbol, RuleKind::Function);
            let mut told = told.into_iter().filter(is_call).filter(|_| site.hits.is_empty());
            told.find(|hit| self.is_imported(hit.entry) && self.text(site.at, &self.rule(*hit).name).is_some())
        })
    }

    /// Classes given as the function: the schema of each is a tool.
    fn class_arguments(&self, call: At, rule: &FunctionRule) -> Vec<(usize, u32, String)> {
        let Some((at, frames)) = self.cx.project.argument(call, &None, &rule.function) else { return Vec::new() };
        let class = |reference| match reference {
            Ref::Class(file, id) => {
                let facts = self.cx.project.facts(file);
                let class = &facts.classes[id.0 as usize];
                Some((file, class.line, facts.name(class.name?).to_owned()))
            }
            _ => None,
        };
        let mut classes: Vec<_> = self.cx.project.all_refs(at, &frames).into_iter().filter_map(class).collect();
        classes.sort();
        classes.dedup();
        classes
    }

    /// The function is given by the name of its `def`, not by a variable that wraps it.
    fn is_plain_name(&self, call: At, rule: &FunctionRule) -> bool {
        let Some((at, _)) = self.cx.project.argument(call, &None, &rule.function) else { return false };
        match *self.cx.project.facts(at.file).kind(at.expr) {
            ExprKind::Name(sym) => self.cx.project.is_defined_function(at, sym),
            _ => true,
        }
    }

    fn function_arguments(&self, call: At, rule: &FunctionRule) -> Vec<(usize, FunctionId)> {
        let Some((at, frames)) = self.cx.project.argument(call, &None, &rule.function) else { return Vec::new() };
        let function = |reference| match reference {
            Ref::Function(file, id) => Some((file, id)),
            _ => None,
        };
        let mut functions: Vec<_> = self.cx.project.all_refs(at, &frames).into_iter().filter_map(function).collect();
        functions.sort();
        functions.dedup();
        functions
    }

    /// A function or a dict in a name's place is no name.
    fn may_be_name(&self, at: At) -> bool {
        let refs = self.cx.project.refer(at, &None);
        !refs.iter().any(|reference| matches!(reference, Ref::Function(..) | Ref::Expr(..)))
    }

    /// `server.registerTool(tool.name, …)`, `for (const [name, tool] of …)`: the name is a part of what is registered.
    fn is_member_name(&self, call: At, rule: &FunctionRule) -> bool {
        let Some((at, _)) = self.cx.project.argument(call, &None, &rule.name) else { return false };
        if self.handed_object(call).is_some() {
            return true;
        }
        matches!(self.cx.project.facts(at.file).kind(at.expr), ExprKind::Attr(..)) || self.cx.project.is_walked(at)
    }
}

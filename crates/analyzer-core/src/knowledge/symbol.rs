//! Symbols: what stands outside the submitted files, as rules and resolver name it.

/// A symbol outside the submitted files, split into the module it comes from and the members behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Symbol {
    /// Python's rules, not JavaScript's.
    python: bool,
    /// `openai.lib`, `@langchain/openai`; empty for globals; `?` for a base that is not known.
    module: String,
    /// `OpenAI()`, `chat`, `completions`, `create`.
    tail: Vec<String>,
}

impl Symbol {
    /// From a rule's notation.
    pub fn parse(python: bool, text: &str) -> Symbol {
        if !python {
            let (module, tail) = text.split_once('#').unwrap_or(("", text));
            return Symbol { python, module: module.into(), tail: split_members(tail) };
        }
        let parts = split_members(text);
        let at = parts.iter().position(|p| divides(p) || p == "*");
        let at = at.unwrap_or(parts.len().saturating_sub(1));
        Symbol { python, module: parts[..at].join("."), tail: parts[at..].to_vec() }
    }

    /// From a Python module path and members, divided as rules are.
    pub fn python(parts: &[String]) -> Symbol {
        let at = parts.iter().position(|p| divides(p));
        let at = at.unwrap_or(parts.len().saturating_sub(1));
        Symbol { python: true, module: parts[..at].join("."), tail: parts[at..].to_vec() }
    }

    /// A whole module.
    pub fn module_of(python: bool, module: impl Into<String>) -> Symbol {
        Symbol { python, module: module.into(), tail: Vec::new() }
    }

    /// A name that nothing in the file binds.
    pub fn global(python: bool, name: &str) -> Symbol {
        Symbol { python, module: String::new(), tail: vec![name.to_owned()] }
    }

    /// A base that is not known: the members behind it may tell.
    pub fn unknown(python: bool) -> Symbol {
        Symbol { python, module: "?".into(), tail: Vec::new() }
    }

    /// Python's rules, not JavaScript's.
    pub fn is_python(&self) -> bool {
        self.python
    }

    /// The module, empty for globals.
    pub fn module(&self) -> &str {
        &self.module
    }

    /// The base is not known, only members of it.
    pub fn is_unknown(&self) -> bool {
        self.module == "?"
    }

    /// No member of a module, but the whole.
    pub fn is_module(&self) -> bool {
        self.tail.is_empty()
    }

    /// The last member.
    pub fn last(&self) -> Option<&str> {
        self.tail.last().map(String::as_str)
    }

    /// Whether this is the global of that name.
    pub fn is_global(&self, name: &str) -> bool {
        self.module.is_empty() && self.tail == [name]
    }

    /// As a person would write it.
    pub fn display(&self) -> String {
        let tail = self.tail.join(".");
        match (self.module.as_str(), self.python) {
            ("" | "?", _) => tail,
            (module, true) => format!("{module}.{tail}"),
            (module, false) => match tail.strip_prefix("default") {
                Some(rest) => format!("{module}{rest}"),
                None => format!("{module}.{tail}"),
            },
        }
    }

    /// `symbol.name`; Python's module path grows until something that is called or written in capitals.
    pub fn member(mut self, name: &str) -> Symbol {
        if !self.python || self.is_unknown() || self.tail.first().is_some_and(|part| divides(part)) {
            self.tail.push(name.to_owned());
            return self;
        }
        // `os` + `environ`, `google` + `cloud` + `storage`: the last part is the member, those before it the module.
        let mut parts: Vec<String> = self.module.split('.').filter(|p| !p.is_empty()).map(str::to_owned).collect();
        parts.extend(self.tail);
        parts.push(name.to_owned());
        Symbol::python(&parts)
    }

    /// `symbol(…)`; a module that is called is its default export.
    pub fn called(self) -> Symbol {
        match self.is_module() {
            true => self.default_export().instance(),
            false => self.instance(),
        }
    }

    /// What a class makes; a whole module makes nothing.
    pub fn instance(mut self) -> Symbol {
        if let Some(last) = self.tail.last_mut() {
            last.push_str("()");
        }
        self
    }

    /// What was called, of what the call gave.
    pub fn callee(mut self) -> Symbol {
        if let Some(last) = self.tail.last_mut() {
            last.truncate(last.trim_end_matches("()").len());
        }
        self
    }

    /// The default export of a module.
    pub fn default_export(mut self) -> Symbol {
        self.tail.push("default".into());
        self
    }

    /// The same in the other language's rules.
    pub fn in_language(self, python: bool) -> Symbol {
        Symbol { python, ..self }
    }

    /// `BraveSearch.from_api_key` makes what `BraveSearch` makes.
    pub(super) fn made_by_factory(&self) -> Option<Symbol> {
        let [class, factory] = &self.tail[..] else { return None };
        let makes = class.starts_with(char::is_uppercase)
            && !class.ends_with("()")
            && (factory.starts_with("from") || factory == "create");
        makes.then(|| Symbol { tail: vec![class.clone()], module: self.module.clone(), python: self.python })
    }

    /// `client.with_options().chat.completions.create` without the calls on the way that give the same thing back.
    pub(super) fn without_fluent_calls(&self) -> Option<Symbol> {
        let last = self.tail.len().checked_sub(1).filter(|&last| last >= 2)?;
        let kept = |(at, part): &(usize, &String)| {
            *at == 0 || *at == last || !part.ends_with("()") || part.starts_with(char::is_uppercase)
        };
        let tail: Vec<String> = self.tail.iter().enumerate().filter(kept).map(|(_, part)| part.clone()).collect();
        (tail.len() < self.tail.len()).then(|| Symbol { tail, module: self.module.clone(), python: self.python })
    }

    /// Whether a rule's symbol names this one: of the same module or one below it, `*` for any member.
    pub(super) fn covers(&self, symbol: &Symbol) -> bool {
        let separator = if symbol.python { '.' } else { '/' };
        let module = match symbol.module.strip_prefix(self.module.as_str()) {
            Some("") => true,
            Some(rest) => !self.module.is_empty() && rest.starts_with(separator),
            None => false,
        };
        module
            && (self.tail_is(&symbol.tail)
                || (symbol.tail.len() > 1 && symbol.tail[0] == "default" && self.tail_is(&symbol.tail[1..])))
    }

    fn tail_is(&self, tail: &[String]) -> bool {
        self.tail.len() == tail.len() && self.tail.iter().zip(tail).all(|(p, s)| p == s || p == "*")
    }

    /// Whether this names the same, whatever is called on the way: `fs.promises.readFile` of `require("fs")` too.
    pub fn is_path_of(&self, symbol: &Symbol) -> bool {
        let bare = |module: &str| module.strip_prefix("node:").unwrap_or(module).to_owned();
        // The default export is the module itself.
        let skip = usize::from(!symbol.python && symbol.tail.len() > 1 && symbol.tail[0] == "default");
        let plain = |part: &String| part.trim_end_matches("()").to_owned();
        self.python == symbol.python
            && bare(&symbol.module) == self.module
            && symbol.tail[skip..].iter().map(plain).eq(self.tail.iter().map(plain))
    }

    /// One member of what a constructor makes: `FastMCP().tool`.
    pub(super) fn is_member_of_made(&self, member: &str) -> bool {
        matches!(&self.tail[..], [made, own] if made.ends_with("()") && own == member)
    }

    /// Two members or more behind a constructor are telling enough: `chat.completions.create`.
    pub(super) fn has_suffix(&self, symbol: &Symbol) -> bool {
        let (n, own) = (symbol.tail.len(), self.tail.len());
        n >= 2
            && own > n
            && self.tail[own - n..] == symbol.tail[..]
            && self.tail[..own - n].iter().all(|p| p.ends_with("()"))
    }
}

/// In Python, where the members begin: at something written in capitals, or called.
fn divides(part: &str) -> bool {
    part.starts_with(char::is_uppercase) || part.ends_with("()")
}

fn split_members(text: &str) -> Vec<String> {
    text.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_paths_are_divided_where_the_first_class_or_call_stands() {
        let client = Symbol::module_of(true, "google").member("cloud").member("storage").member("Client");
        assert_eq!(
            (client.module(), client.display().as_str()),
            ("google.cloud.storage", "google.cloud.storage.Client")
        );
        let os = Symbol::module_of(true, "os");
        assert_eq!(os.member("environ").member("get").display(), "os.environ.get");
    }
}

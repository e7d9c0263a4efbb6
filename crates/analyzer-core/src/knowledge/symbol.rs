//! Symbols: what stands outside the submitted files, as rules and resolver name it.

use std::sync::Arc;

/// A symbol outside the submitted files, split into the module it comes from and the members behind it. It is handed
/// around and never changed, so that its text is shared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Symbol {
    /// Python's rules, not JavaScript's.
    python: bool,
    /// Where the module ends: `openai.lib`, `@langchain/openai`; empty for globals; `?` for a base that is not known.
    module: u32,
    /// The module, then each member behind a [`BEHIND`]: `OpenAI()`, `chat`, `completions`, `create`.
    text: Arc<str>,
}

/// Stands before each member; no name holds it.
const BEHIND: char = '\0';

impl Symbol {
    fn new<'a>(python: bool, module: &str, tail: impl Iterator<Item = &'a str>) -> Symbol {
        let mut text = String::with_capacity(module.len() + 32);
        text.push_str(module);
        for part in tail {
            text.push(BEHIND);
            text.push_str(part);
        }
        Symbol { python, module: module.len() as u32, text: text.into() }
    }

    /// From a rule's notation.
    pub fn parse(python: bool, text: &str) -> Symbol {
        if !python {
            let (module, tail) = text.split_once('#').unwrap_or(("", text));
            return Symbol::new(python, module, members(tail));
        }
        let parts: Vec<&str> = members(text).collect();
        let at = parts.iter().position(|p| divides(p) || *p == "*");
        Symbol::divided(&parts, at)
    }

    /// From a Python module path and members, divided as rules are.
    pub fn python(parts: &[&str]) -> Symbol {
        Symbol::divided(parts, parts.iter().position(|p| divides(p)))
    }

    fn divided(parts: &[&str], at: Option<usize>) -> Symbol {
        let (module, tail) = parts.split_at(at.unwrap_or(parts.len().saturating_sub(1)));
        Symbol::new(true, &module.join("."), tail.iter().copied())
    }

    /// A whole module.
    pub fn module_of(python: bool, module: &str) -> Symbol {
        Symbol { python, module: module.len() as u32, text: module.into() }
    }

    /// A name that nothing in the file binds.
    pub fn global(python: bool, name: &str) -> Symbol {
        Symbol::new(python, "", std::iter::once(name))
    }

    /// A base that is not known: the members behind it may tell.
    pub fn unknown(python: bool) -> Symbol {
        Symbol::module_of(python, "?")
    }

    /// Python's rules, not JavaScript's.
    pub fn is_python(&self) -> bool {
        self.python
    }

    /// The module, empty for globals.
    pub fn module(&self) -> &str {
        &self.text[..self.module as usize]
    }

    /// All members, each with what stands before it.
    fn behind(&self) -> &str {
        &self.text[self.module as usize..]
    }

    fn tail(&self) -> impl DoubleEndedIterator<Item = &str> + Clone {
        let behind = self.behind();
        let mut parts = behind.split(BEHIND);
        parts.next(); // What stands before the first.
        parts
    }

    /// The same module with other text behind it.
    fn with(&self, text: String) -> Symbol {
        Symbol { text: text.into(), ..*self }
    }

    fn push(&self, name: &str) -> Symbol {
        let mut text = String::with_capacity(self.text.len() + 1 + name.len());
        text.push_str(&self.text);
        text.push(BEHIND);
        text.push_str(name);
        self.with(text)
    }

    /// The base is not known, only members of it.
    pub fn is_unknown(&self) -> bool {
        self.module() == "?"
    }

    /// No member of a module, but the whole.
    pub fn is_module(&self) -> bool {
        self.behind().is_empty()
    }

    /// The last member.
    pub fn last(&self) -> Option<&str> {
        self.behind().rsplit_once(BEHIND).map(|(_, last)| last)
    }

    /// Whether this is the global of that name.
    pub fn is_global(&self, name: &str) -> bool {
        self.module == 0 && self.text.strip_prefix(BEHIND) == Some(name)
    }

    /// As a person would write it.
    pub fn display(&self) -> String {
        let tail = self.behind().get(1..).unwrap_or_default().replace(BEHIND, ".");
        match (self.module(), self.python) {
            ("" | "?", _) => tail,
            (module, true) => format!("{module}.{tail}"),
            (module, false) => match tail.strip_prefix("default") {
                Some(rest) => format!("{module}{rest}"),
                None => format!("{module}.{tail}"),
            },
        }
    }

    /// `symbol.name`; Python's module path grows until something that is called or written in capitals.
    pub fn member(&self, name: &str) -> Symbol {
        if !self.python || self.is_unknown() || self.tail().next().is_some_and(divides) {
            return self.push(name);
        }
        // `os` + `environ`, `google` + `cloud` + `storage`: the last part is the member, those before it the module.
        let module = self.module().split('.').filter(|part| !part.is_empty());
        let parts: Vec<&str> = module.chain(self.tail()).chain([name]).collect();
        Symbol::python(&parts)
    }

    /// `symbol(…)`; a module that is called is its default export.
    pub fn called(&self) -> Symbol {
        match self.is_module() {
            true => self.default_export().instance(),
            false => self.instance(),
        }
    }

    /// What a class makes; a whole module makes nothing.
    pub fn instance(&self) -> Symbol {
        if self.is_module() { self.clone() } else { self.with(format!("{}()", self.text)) }
    }

    /// What was called, of what the call gave.
    pub fn callee(&self) -> Symbol {
        if self.is_module() { self.clone() } else { self.with(self.text.trim_end_matches("()").to_owned()) }
    }

    /// The default export of a module.
    pub fn default_export(&self) -> Symbol {
        self.push("default")
    }

    /// The same in the other language's rules.
    pub fn in_language(self, python: bool) -> Symbol {
        Symbol { python, ..self }
    }

    /// `BraveSearch.from_api_key` makes what `BraveSearch` makes.
    pub(super) fn made_by_factory(&self) -> Option<Symbol> {
        let (class, factory) = self.behind().strip_prefix(BEHIND)?.split_once(BEHIND)?;
        let makes = class.starts_with(char::is_uppercase)
            && !class.ends_with("()")
            && !factory.contains(BEHIND)
            && (factory.starts_with("from") || factory == "create");
        makes.then(|| Symbol::new(self.python, self.module(), std::iter::once(class)))
    }

    /// `Agent().tool` of `Agent.from_file().tool`: a member of what a class's own factory makes.
    pub(super) fn of_made_by_factory(&self) -> Option<Symbol> {
        let (class, rest) = self.behind().strip_prefix(BEHIND)?.split_once(BEHIND)?;
        let (factory, rest) = rest.split_once(BEHIND)?;
        let makes = class.starts_with(char::is_uppercase)
            && !class.ends_with("()")
            && factory.ends_with("()")
            && (factory.starts_with("from") || factory == "create()");
        let made = makes.then(|| format!("{class}()"))?;
        Some(Symbol::new(self.python, self.module(), std::iter::once(&*made).chain(rest.split(BEHIND))))
    }

    /// `client.with_options().chat.completions.create` without the calls on the way that give the same thing back.
    pub(super) fn without_fluent_calls(&self) -> Option<Symbol> {
        let last = self.tail().count().checked_sub(1).filter(|&last| last >= 2)?;
        let is_kept = |(at, part): &(usize, &str)| {
            *at == 0 || *at == last || !part.ends_with("()") || part.starts_with(char::is_uppercase)
        };
        let kept = self.tail().enumerate().filter(is_kept);
        (kept.clone().count() <= last).then(|| Symbol::new(self.python, self.module(), kept.map(|(_, part)| part)))
    }

    /// Whether a rule's symbol names this one: of the same module or one below it, `*` for any member.
    pub(super) fn covers(&self, symbol: &Symbol) -> bool {
        let separator = if symbol.python { '.' } else { '/' };
        let module = match symbol.module().strip_prefix(self.module()) {
            Some("") => true,
            Some(rest) => self.module != 0 && rest.starts_with(separator),
            None => false,
        };
        const DEFAULT: &str = "\0default";
        let tail = symbol.behind();
        module
            && (self.tail_is(tail)
                || tail.strip_prefix(DEFAULT).is_some_and(|rest| rest.starts_with(BEHIND) && self.tail_is(rest)))
    }

    fn tail_is(&self, tail: &str) -> bool {
        let own = self.behind();
        if !own.contains('*') {
            return own == tail;
        }
        own.matches(BEHIND).count() == tail.matches(BEHIND).count()
            && own.split(BEHIND).zip(tail.split(BEHIND)).all(|(p, s)| p == s || p == "*")
    }

    /// Whether this names the same, whatever is called on the way: `fs.promises.readFile` of `require("fs")` too.
    pub fn is_path_of(&self, symbol: &Symbol) -> bool {
        // The default export is the module itself.
        let skip = usize::from(!symbol.python && symbol.tail().count() > 1 && symbol.tail().next() == Some("default"));
        fn plain(part: &str) -> &str {
            part.trim_end_matches("()")
        }
        self.python == symbol.python
            && symbol.module().strip_prefix("node:").unwrap_or(symbol.module()) == self.module()
            && symbol.tail().skip(skip).map(plain).eq(self.tail().map(plain))
    }

    /// One member of what a constructor makes: `FastMCP().tool`.
    pub(super) fn is_member_of_made(&self, member: &str) -> bool {
        let mut tail = self.tail();
        tail.next().is_some_and(|made| made.ends_with("()")) && tail.next() == Some(member) && tail.next().is_none()
    }

    /// Two members or more behind a constructor are telling enough: `chat.completions.create`.
    pub(super) fn has_suffix(&self, symbol: &Symbol) -> bool {
        let Some(before) = self.behind().strip_suffix(symbol.behind()).and_then(|rest| rest.strip_prefix(BEHIND))
        else {
            return false;
        };
        symbol.tail().nth(1).is_some() && before.split(BEHIND).all(|part| part.ends_with("()"))
    }
}

/// In Python, where the members begin: at something written in capitals, or called.
fn divides(part: &str) -> bool {
    part.starts_with(char::is_uppercase) || part.ends_with("()")
}

fn members(text: &str) -> impl Iterator<Item = &str> {
    text.split('.').filter(|part| !part.is_empty())
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

    #[test]
    fn what_is_made_is_told_from_what_is_called() {
        let client = Symbol::parse(true, "acme.Acme").called();
        assert_eq!((client.display().as_str(), client.last()), ("acme.Acme()", Some("Acme()")));
        assert_eq!(client.callee(), Symbol::parse(true, "acme.Acme"));
        assert_eq!(Symbol::module_of(false, "acme").called().display(), "acme()");
        assert!(Symbol::global(true, "open").is_global("open"));
        assert_eq!((Symbol::module_of(true, "os").last(), Symbol::unknown(true).instance().is_module()), (None, true));
    }

    #[test]
    fn a_suffix_is_whole_members_behind_constructors() {
        let rule = Symbol::parse(true, "acme.Acme().chat.create");
        let unknown = |members: &[&str]| members.iter().fold(Symbol::unknown(true), |symbol, name| symbol.member(name));
        assert!(rule.has_suffix(&unknown(&["chat", "create"])));
        for members in [&["create"][..], &["at", "create"], &["Acme()", "chat", "create"]] {
            assert!(!rule.has_suffix(&unknown(members)), "{members:?}");
        }
    }
}

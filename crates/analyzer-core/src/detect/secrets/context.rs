//! Where a text stands in its file's tree: the name it gets, the call it is handed to, the addresses beside it.

mod calls;

use std::cell::OnceCell;

use rustc_hash::FxHashMap;

use super::names::{self, Kind};
use super::{fold, plain};
use crate::facts::{Bound, ClassId, ExprId, ExprKind, FileFacts, ScopeId, ScopeKind, Sym};

/// What stands around a text.
#[derive(Debug, Clone, Default)]
pub struct Site {
    /// The name that the text is given.
    pub name: Option<String>,
    /// Names around it: keys of enclosing objects, the object whose attribute it is, the function, the class.
    pub outer: Vec<String>,
    /// What is called with it, as a dotted path.
    pub callee: Option<String>,
    /// Its position among the arguments.
    pub position: Option<usize>,
    /// Hosts given beside it.
    pub hosts: Vec<String>,
    /// Texts beside it that look like hosts without a scheme.
    pub bare_hosts: Vec<String>,
    /// It stands in for an environment variable or an option that is not given.
    pub fallback: bool,
    /// The variable that it is bound to.
    pub bound: Option<Sym>,
    /// The scope that this variable belongs to; none for attributes and what a call hands on.
    pub scope: Option<ScopeId>,
    /// The outermost table that it stands in, and its key there.
    pub entry: Option<(ExprId, ExprId)>,
    /// Its position in an `auth=` tuple.
    pub login: Option<usize>,
    /// The element before it in its list names it.
    pub listed: bool,
    /// Whose the call that takes it says it is: its provider, the first part of its model.
    pub routes: Vec<String>,
    /// The module that what is called was imported from.
    pub from: Option<String>,
    /// What made the object whose method takes it, or what is made with it: `client.with_options(…)`, `Factory(Client, …)`.
    pub made: Option<String>,
}

/// Why an expression exists.
#[derive(Debug, Clone, Copy)]
enum Parent {
    None,
    Part(ExprId),
    /// The call, the position or name of the argument.
    Arg(u32, u16, Option<Sym>),
    /// An entry of this dict, with this key.
    Entry(ExprId, ExprId),
    Bound(ScopeId, Sym),
    Place(ExprId),
    Default(Option<Sym>, Option<Sym>),
    /// What the function of this name gives back, and the field that its decorator checks.
    Returned(Sym, Option<ExprId>),
}

/// The tree of a file, read upwards.
pub struct Context<'f> {
    pub facts: &'f FileFacts,
    parents: Vec<Parent>,
    /// Where each name is used, as a variable or an attribute; asked for in few files.
    uses: OnceCell<FxHashMap<Sym, Vec<ExprId>>>,
    /// What a loop calls the parts of each row of a list: `for provider, key in (("…", "…"),)`.
    columns: FxHashMap<(ExprId, usize), Sym>,
    /// Annotated fields of classes, by their scope; asked for in few files.
    fields: OnceCell<FxHashMap<ScopeId, Vec<Sym>>>,
}

/// Keys beside a credential that say whose it is.
const WHOSE: &[&str] =
    &["provider", "service", "vendor", "platform", "model_provider", "llm_provider", "api_type", "name", "type", "id"];

/// Keys under which an entry holds what it is of.
const VALUES: &[&str] = &["value", "default", "defaultValue", "initialValue", "useValue", "useFactory", "factory"];

/// Steps upwards from a text to its name.
const CLIMB: usize = 16;

impl<'f> Context<'f> {
    pub fn new(facts: &'f FileFacts) -> Context<'f> {
        let mut parents = vec![Parent::None; facts.exprs.len()];
        // A name says more than the list that the text is an element of, and of several names one that speaks of secrets.
        let mut set = |id: ExprId, parent: Parent| {
            let Some(slot) = parents.get_mut(id.0 as usize) else { return };
            let replaced = match (*slot, parent) {
                (Parent::None, _) | (Parent::Part(_), Parent::Bound(..) | Parent::Place(_)) => true,
                (Parent::Bound(_, old), Parent::Bound(_, new)) => {
                    let strength = |sym| match plain::kind(facts.name(sym)) {
                        None => 0,
                        Some(Kind::Weak) => 1,
                        Some(_) => 2,
                    };
                    strength(new) > strength(old)
                }
                _ => false,
            };
            if replaced {
                *slot = parent;
            }
        };
        for (number, call) in facts.calls.iter().enumerate() {
            for (index, arg) in call.args.iter().enumerate() {
                set(arg.value, Parent::Arg(number as u32, index.min(u16::MAX as usize) as u16, arg.name));
            }
            set(call.callee, Parent::Part(call.expr));
        }
        for (index, expr) in facts.exprs.iter().enumerate() {
            let here = ExprId(index as u32);
            match &expr.kind {
                ExprKind::Dict(pairs) => {
                    for (key, value) in pairs {
                        set(*value, key.map_or(Parent::Part(here), |key| Parent::Entry(here, key)));
                    }
                }
                ExprKind::Concat(parts) | ExprKind::List(parts) => {
                    parts.iter().for_each(|part| set(*part, Parent::Part(here)));
                }
                ExprKind::Either(a, b) | ExprKind::Cond(a, b) | ExprKind::Percent(a, b) => {
                    set(*a, Parent::Part(here));
                    set(*b, Parent::Part(here));
                }
                ExprKind::Attr(base, _) => set(*base, Parent::Part(here)),
                // `const [key, setKey] = useState("…")`
                ExprKind::Index(base, key)
                    if matches!(facts.kind(*key), ExprKind::Number(number) if facts.text_of(*number) == "0")
                        && facts.call(*base).is_some() =>
                {
                    set(*base, Parent::Part(here));
                }
                // `{"dev": "…", "prod": "…"}[stage]`, `KEYS[turn % 3]`: one of them.
                ExprKind::Index(base, key)
                    if matches!(facts.kind(*base), ExprKind::Dict(_) | ExprKind::List(_) | ExprKind::Name(_))
                        && (!matches!(facts.kind(*key), ExprKind::Text(_))
                            || matches!(facts.kind(*base), ExprKind::Name(_))) =>
                {
                    set(*base, Parent::Part(here));
                }
                ExprKind::Spread(inner) => set(*inner, Parent::Part(here)),
                _ => {}
            }
        }
        for assignment in &facts.place_assignments {
            set(assignment.value, Parent::Place(assignment.target));
        }
        let mut columns = FxHashMap::default();
        for ((scope, sym), bindings) in facts.bindings.iter() {
            for binding in bindings {
                if let Bound::Expr(value) = binding.value {
                    set(value, Parent::Bound(*scope, *sym));
                    if let ExprKind::Index(row, place) = facts.kind(value)
                        && let (ExprKind::Element(rows), ExprKind::Number(place)) =
                            (facts.kind(*row), facts.kind(*place))
                        && let Ok(place) = facts.text_of(*place).parse()
                    {
                        columns.insert((*rows, place), *sym);
                    }
                }
            }
        }
        for function in &facts.functions {
            for param in &function.params {
                if let Some(default) = param.default {
                    set(default, Parent::Default(param.name, function.name));
                }
            }
            let checks = || {
                let told = function.decorators.iter().filter_map(|decorator| facts.call(*decorator));
                let mut texts = told.flat_map(|call| call.args.iter().take(4)).map(|arg| arg.value);
                texts.find(|id| facts.text(*id).is_some_and(names_secret))
            };
            if let Some(name) = function.name {
                let checks = if function.returns.is_empty() { None } else { checks() };
                function.returns.iter().for_each(|returned| set(*returned, Parent::Returned(name, checks)));
            }
        }
        // What a function without a name gives back is what the function stands for: `default_factory=lambda: "…"`.
        for (index, expr) in facts.exprs.iter().enumerate() {
            if let ExprKind::Function(function) = expr.kind
                && let [returned] = &facts.functions[function.0 as usize].returns[..]
                && facts.functions[function.0 as usize].name.is_none()
            {
                set(*returned, Parent::Part(ExprId(index as u32)));
            }
        }
        // An entry says more than the function that makes its value: `factory: () => "…"`.
        for function in facts.functions.iter().filter(|function| function.name.is_some()) {
            if let Some(whole) = function.expr
                && let Some(Parent::Entry(_, key)) = parents.get(whole.0 as usize)
                && facts.text(*key).is_some_and(|key| VALUES.contains(&key))
                && let [returned] = function.returns[..]
                && matches!(parents.get(returned.0 as usize), Some(Parent::Returned(..)))
            {
                parents[returned.0 as usize] = Parent::Part(whole);
            }
        }
        Context { facts, parents, uses: OnceCell::new(), columns, fields: OnceCell::new() }
    }

    /// Nothing takes the value: a docstring, not the text of an assignment.
    pub fn stands_alone(&self, id: ExprId) -> bool {
        matches!(self.parents.get(id.0 as usize), Some(Parent::None))
    }

    /// What stands around an expression.
    pub fn site(&self, id: ExprId) -> Site {
        let mut site = Site::default();
        let mut at = id;
        for _ in 0..CLIMB {
            match self.parents.get(at.0 as usize).copied().unwrap_or(Parent::None) {
                Parent::None => break,
                Parent::Part(whole) => {
                    self.part(&mut site, at, whole);
                    at = whole;
                }
                Parent::Entry(dict, key) => {
                    self.entry(&mut site, dict, key);
                    site.entry = Some((dict, key));
                    at = dict;
                }
                Parent::Arg(call, index, name) => match self.argument(&mut site, call, index, name) {
                    Some(next) => at = next,
                    None => break,
                },
                Parent::Bound(scope, sym) => {
                    if site.bound.is_none() {
                        (site.bound, site.scope) = (Some(sym), Some(scope));
                    }
                    add_name(&mut site, self.facts.name(sym).to_owned());
                    if let ScopeKind::Class(class) = self.facts.scopes[scope.0 as usize].kind
                        && let Some(name) = self.facts.classes[class.0 as usize].name
                    {
                        self.member(&mut site, class, at);
                        site.outer.push(self.facts.name(name).to_owned());
                    }
                    break;
                }
                Parent::Place(target) => {
                    match *self.facts.kind(target) {
                        ExprKind::Attr(base, sym) => {
                            site.bound.get_or_insert(sym);
                            add_name(&mut site, self.facts.name(sym).to_owned());
                            site.outer.extend(self.path(base));
                            // `client = Client()`, then `client.api_key = "…"`
                            if let Some(made) = self.facts.call(self.origin(base)) {
                                site.callee.get_or_insert(self.path(made.callee).join("."));
                            }
                        }
                        ExprKind::Index(base, key) => {
                            if let Some(key) = self.facts.text(key) {
                                add_name(&mut site, key.to_owned());
                            }
                            site.outer.extend(self.path(base));
                        }
                        _ => {}
                    }
                    break;
                }
                Parent::Returned(_, Some(checks)) => {
                    site.fallback = true;
                    add_name(&mut site, self.facts.text(checks).unwrap_or("").to_owned());
                    break;
                }
                Parent::Returned(function, None) => {
                    add_name(&mut site, self.facts.name(function).trim_start_matches("get").to_owned());
                    break;
                }
                Parent::Default(param, function) => {
                    site.fallback = true;
                    if let Some(param) = param {
                        site.bound.get_or_insert(param);
                        add_name(&mut site, self.facts.name(param).to_owned());
                    }
                    site.outer.extend(function.map(|f| self.facts.name(f).to_owned()));
                    break;
                }
            }
        }
        site
    }

    /// `MAIN = ("groq", "…")` in an enumeration whose `__init__` takes `provider` and `api_key`.
    fn member(&self, site: &mut Site, class: ClassId, value: ExprId) {
        let (ExprKind::List(parts), Some(index)) = (self.facts.kind(value), site.login) else { return };
        let scope = self.facts.classes[class.0 as usize].scope;
        let Some(Bound::Function(made)) = self.facts.bindings_named(scope, "__init__").last().map(|b| b.value) else {
            return;
        };
        let params = &self.facts.functions[made.0 as usize].params;
        let param = params.get(index + 1).filter(|_| params.len() == parts.len() + 1).and_then(|param| param.name);
        if let Some(name) = param.map(|name| self.facts.name(name)).filter(|name| names_secret(name)) {
            site.outer.extend(site.name.replace(name.to_owned()));
            let beside = parts.iter().filter_map(|part| self.facts.text(*part)).filter(|text| text.len() <= 40);
            site.outer.extend(beside.map(str::to_owned));
            parts.iter().take(32).for_each(|part| self.add_host(site, *part));
        }
    }

    fn part(&self, site: &mut Site, at: ExprId, whole: ExprId) {
        match self.facts.kind(whole) {
            // The key says when the value is taken, what holds it what it is.
            ExprKind::Index(base, _) if *base == at && matches!(self.facts.kind(at), ExprKind::Dict(_)) => {
                site.outer.extend(site.name.take());
                site.fallback = true;
            }
            ExprKind::Either(left, right) if *right == at => {
                site.fallback = true;
                if site.name.is_none() {
                    site.name = self.looked_up(*left);
                }
            }
            ExprKind::Cond(one, other) => {
                let beside = if *one == at { *other } else { *one };
                if let Some(name) = self.looked_up(beside) {
                    site.fallback = true;
                    site.name.get_or_insert(name);
                }
            }
            // `f"…?api_key={key}"`: what stands before it in the text names it.
            ExprKind::Concat(parts) if site.name.is_none() => {
                let before = parts.iter().take_while(|part| **part != at).last();
                let said = before.and_then(|before| self.facts.text(*before)).and_then(|text| announced(text, 1));
                site.name = said.filter(|name| names_secret(name));
            }
            // `Secret(value="…").save(name="api-key")`: what is made is given a name.
            ExprKind::Call(call) if site.name.is_none() => {
                let named = |arg: &&crate::facts::Arg| arg.name.is_some_and(|name| self.facts.name(name) == "name");
                let given = self.facts.calls[*call as usize].args.iter().find(named);
                let name = given.and_then(|arg| self.facts.text(arg.value));
                site.name = name.filter(|name| names_secret(name)).map(str::to_owned);
            }
            ExprKind::List(parts) => {
                let index = parts.iter().position(|part| *part == at).unwrap_or(0);
                site.login = site.login.or(Some(index));
                if let Some(Parent::Part(rows)) = self.parents.get(whole.0 as usize)
                    && let Some(name) = self.columns.get(&(*rows, index)).filter(|_| site.name.is_none())
                    && names_secret(self.facts.name(*name))
                {
                    site.name = Some(self.facts.name(*name).to_owned());
                    let beside = parts.iter().filter_map(|part| self.facts.text(*part));
                    site.outer.extend(beside.filter(|text| text.len() <= 40).take(4).map(str::to_owned));
                }
                let first = index.checked_sub(1).and_then(|before| self.facts.text(parts[before]));
                if let Some(first) = first.filter(|_| parts.len() == 2 || index % 2 == 1 || parts.len() > 2)
                    && site.name.is_none()
                    && (first.starts_with("--") || parts.len() == 2 && names_secret(first))
                {
                    site.listed = true;
                    site.name = Some(first.trim_start_matches('-').to_owned());
                }
            }
            _ => {}
        }
    }

    /// The variable that an environment look-up asks for.
    fn looked_up(&self, id: ExprId) -> Option<String> {
        match self.facts.kind(id) {
            ExprKind::Call(call) => {
                let call = &self.facts.calls[*call as usize];
                let name = call.args.first().and_then(|arg| self.facts.text(arg.value))?;
                Some(name.to_owned())
            }
            ExprKind::Index(_, key) => self.facts.text(*key).map(str::to_owned),
            ExprKind::Attr(_, sym) => Some(self.facts.name(*sym).to_owned()),
            _ => None,
        }
    }

    fn entry(&self, site: &mut Site, dict: ExprId, key: ExprId) {
        let ExprKind::Dict(pairs) = self.facts.kind(dict) else { return };
        let key = self.facts.text(key).map(str::to_owned).or_else(|| self.path(key).pop());
        let Some(key) = key else { return };
        let beside = |wanted: &[&str]| {
            pairs.iter().find_map(|(k, v)| {
                let known = k.and_then(|k| self.facts.text(k)).is_some_and(|k| wanted.contains(&k));
                known.then(|| self.facts.text(*v)).flatten()
            })
        };
        match VALUES.contains(&key.as_str()) {
            true => match beside(&["name", "key", "env", "header", "variable", "provide"]) {
                Some(name) => add_name(site, name.to_owned()),
                // What has this default stands further out: `TOKEN: { default: "…" }`.
                None => site.fallback = true,
            },
            false => add_name(site, key),
        }
        site.outer.extend(beside(WHOSE).filter(|text| text.len() <= 40).map(str::to_owned));
        // `{ secretName: "agent/api_key", secretStringValue: "…" }`
        site.outer.extend(beside(&["secretName", "SecretId", "secret_name"]).map(str::to_owned));
        let model = beside(&["model", "model_id", "model_name"]).and_then(|model| model.split_once('/'));
        site.outer.extend(model.map(|(provider, _)| provider.to_owned()));
        for (_, value) in pairs.iter().take(32) {
            self.add_host(site, *value);
        }
    }

    /// What a variable is bound to, when it is bound once.
    fn origin(&self, id: ExprId) -> ExprId {
        let ExprKind::Name(sym) = *self.facts.kind(id) else { return id };
        for scope in [self.facts.scope_of(id), crate::facts::MODULE] {
            if let [one] = self.facts.bindings_in(scope, sym)
                && let Bound::Expr(value) = one.value
            {
                return value;
            }
        }
        id
    }

    fn add_host(&self, site: &mut Site, id: ExprId) {
        let text = match self.facts.kind(id) {
            ExprKind::Text(text) => {
                let text = self.facts.text_of(*text);
                (text.contains("://") || plain::is_host(text)).then(|| text.to_owned())
            }
            ExprKind::Name(_) | ExprKind::Concat(_) => fold::fold(self.facts, id).filter(|text| text.contains("://")),
            ExprKind::Either(_, right) => self.facts.text(*right).map(str::to_owned),
            _ => None,
        };
        let Some(text) = text else { return };
        let (host, hosts) = match text.split_once("://") {
            Some((_, rest)) => (plain::host_of(rest), &mut site.hosts),
            None => (text, &mut site.bare_hosts),
        };
        if !host.is_empty() && !hosts.contains(&host) {
            hosts.push(host);
        }
    }

    /// Parts of a dotted path, as written.
    pub fn path(&self, id: ExprId) -> Vec<String> {
        let mut parts = Vec::new();
        let mut at = id;
        for _ in 0..8 {
            match self.facts.kind(at) {
                ExprKind::Attr(base, sym) => {
                    parts.push(self.facts.name(*sym).to_owned());
                    at = *base;
                }
                ExprKind::Name(sym) => {
                    parts.push(self.facts.name(*sym).to_owned());
                    break;
                }
                ExprKind::Call(call) => at = self.facts.calls[*call as usize].callee,
                ExprKind::Index(base, key) => {
                    parts.extend(self.facts.text(*key).map(str::to_owned));
                    at = *base;
                }
                _ => break,
            }
        }
        parts.reverse();
        parts
    }

    /// Where the variable goes that a text is bound to.
    pub fn uses_of<'c>(&'c self, site: &'c Site) -> impl Iterator<Item = Site> + 'c {
        let uses = self.uses.get_or_init(|| {
            let mut uses: FxHashMap<Sym, Vec<ExprId>> = FxHashMap::default();
            for (index, expr) in self.facts.exprs.iter().enumerate() {
                if let ExprKind::Name(name) | ExprKind::Attr(_, name) = expr.kind {
                    uses.entry(name).or_default().push(ExprId(index as u32));
                }
            }
            uses
        });
        let all = site.bound.and_then(|sym| uses.get(&sym)).map_or(&[][..], Vec::as_slice);
        all.iter().take(256).filter(|id| self.is_of(**id, site)).take(32).map(|id| self.site(*id))
    }

    /// A use of this very variable, and of the entry of its table that the text is.
    fn is_of(&self, id: ExprId, site: &Site) -> bool {
        if let (Some(scope), ExprKind::Name(sym)) = (site.scope, self.facts.kind(id)) {
            let mut at = Some(self.facts.scope_of(id));
            for _ in 0..CLIMB {
                let Some(here) = at else { break };
                if here == scope {
                    break;
                }
                // Another function's variable of the same name.
                if !self.facts.bindings_in(here, *sym).is_empty() {
                    return false;
                }
                at = self.facts.scopes[here.0 as usize].parent;
            }
            if at.is_none() && !matches!(self.facts.scopes[scope.0 as usize].kind, ScopeKind::Class(_)) {
                return false;
            }
        }
        let Some((table, own)) = site.entry else { return true };
        let ExprKind::Dict(pairs) = self.facts.kind(table) else { return true };
        let Some(Parent::Part(whole)) = self.parents.get(id.0 as usize) else { return true };
        let asked = match self.facts.kind(*whole) {
            ExprKind::Attr(base, name) if *base == id => self.facts.name(*name),
            ExprKind::Index(base, key) if *base == id => self.facts.text(*key).unwrap_or(""),
            _ => return true,
        };
        let said = |key: ExprId| match self.facts.kind(key) {
            ExprKind::Name(sym) => Some(self.facts.name(*sym)),
            _ => self.facts.text(key),
        };
        said(own) == Some(asked) || !pairs.iter().any(|(key, _)| key.and_then(said) == Some(asked))
    }
}

/// A name that says of itself that its value is secret: `X-Api-Key`, not `auth`, which is also a module's.
fn names_secret(name: &str) -> bool {
    plain::kind(name).is_some_and(|kind| kind != Kind::Weak) || name.eq_ignore_ascii_case("authorization")
}

/// One name, maybe with a path before it, that says so: `agent.api_key`. The words of a sentence are none.
pub fn is_secrets_name(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    let several = name.contains(['_', '-', '.']) || name.chars().any(char::is_uppercase);
    name.len() <= 60 && several && name.chars().all(plain) && names_secret(name)
}

/// A variable of the environment whose name says that it holds a secret.
fn is_variable(name: &str) -> bool {
    names::is_shouted(name) && names_secret(name)
}

/// The long name of a command's option: `-k, --api-key <key>`.
fn option_name(option: &str) -> Option<String> {
    if !option.starts_with('-') {
        return None;
    }
    let name = option.split([' ', ',', '|']).find_map(|word| word.strip_prefix("--"))?;
    Some(name.split(['=', '<', '[']).next().unwrap_or(name).to_owned())
}

/// The name that a message announces for its argument: `"using TOKEN=%s"`, `"API key:"`.
fn announced(message: &str, argument: usize) -> Option<String> {
    let hole = ["%s", "%r", "{}"].into_iter().find(|hole| message.contains(hole)).unwrap_or("\0");
    let before = message.split(hole).nth(argument - 1)?.trim_end();
    let name = before.trim_end_matches(['=', ':']);
    let start = name.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || "_-.".contains(c)).len();
    (name.len() < before.len() && start < name.len()).then(|| name[start..].to_owned())
}

/// The first name is the text's own, further ones stand around it.
fn add_name(site: &mut Site, name: String) {
    match site.name {
        None => site.name = Some(name),
        Some(_) => site.outer.push(name),
    }
}

#[cfg(test)]
mod tests {
    use super::announced;

    #[test]
    fn a_message_announces_a_name_behind_any_character() {
        assert_eq!(announced("¡token=%s", 1).as_deref(), Some("token"));
        assert_eq!(announced("clé: %s", 1).as_deref(), None);
        assert_eq!(announced("nothing said", 1), None);
    }
}

//! Where a text stands in its file's tree: the name it gets, the call it is handed to, the addresses beside it.

use std::cell::OnceCell;

use rustc_hash::FxHashMap;

use super::names::{self, Kind};
use super::{fold, plain};
use crate::facts::{Bound, Call, ClassId, ExprId, ExprKind, FileFacts, FunctionId, ScopeId, ScopeKind, Sym};

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
    /// Its position in an `auth=` tuple.
    pub login: Option<usize>,
    /// The element before it in its list names it.
    pub listed: bool,
    /// Whose the call that takes it says it is: its provider, the first part of its model.
    pub routes: Vec<String>,
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
    /// What the function of this name gives back.
    Returned(Sym),
}

/// The tree of a file, read upwards.
pub struct Context<'f> {
    pub facts: &'f FileFacts,
    parents: Vec<Parent>,
    /// Where each name is used, as a variable or an attribute; asked for in few files.
    uses: OnceCell<FxHashMap<Sym, Vec<ExprId>>>,
    /// Annotated fields of classes, by their scope; asked for in few files.
    fields: OnceCell<FxHashMap<ScopeId, Vec<Sym>>>,
}

/// Calls whose first argument names what the second is.
const NAMED_BY_FIRST: &[&str] = &[
    "get",
    "getenv",
    "setdefault",
    "putenv",
    "setenv",
    "env",
    "set_key",
    "set",
    "config",
    "append",
    "setRequestHeader",
    "header",
    "headers",
    "add_header",
    "setHeader",
    "putheader",
    "setItem",
    "getOrDefault",
    "get_or_default",
    "str",
    "setattr",
    "default",
    "put",
    "add_secret",
    "getattr",
    "replace_header",
    "setProperty",
    "pop",
];

/// Calls that give back, wrap or default to their argument.
const WRAPPERS: &[&str] = &[
    "SecretStr",
    "Secret",
    "str",
    "String",
    "Field",
    "field",
    "default",
    "cast",
    "b64decode",
    "from",
    "fromhex",
    "atob",
    "Depends",
    "Query",
    "Header",
    "Option",
    "Argument",
    "literal",
    "optional",
    "prefault",
    "catch",
    "bytes",
    "ref",
    "quote",
    "quote_plus",
    "join",
    "unhexlify",
    "Some",
    "convert_to_secret_str",
    "concat",
    "format",
    "Static",
    "const",
    "SecretBytes",
    "AzureKeyCredential",
    "stringify",
    "dumps",
    "dedent",
    "cleandoc",
    "useState",
    "useRef",
    "raw",
    "unsafePlainText",
    "encodeURIComponent",
];

/// Calls that make a login of a name and a password.
const LOGINS: &[&str] = &["HTTPBasicAuth", "BasicAuth", "HTTPDigestAuth", "DigestAuth"];

/// Calls that sign, encrypt or log in with what stands at a position, and what that is called. With a dot, the end of the
/// path as it is written.
const TAKE_SECRETS: &[(&str, usize, &str)] = &[
    ("jwt.encode", 1, "signing_key"),
    ("jwt.decode", 1, "signing_key"),
    ("jwt.sign", 1, "signing_key"),
    ("jwt.verify", 1, "signing_key"),
    ("hmac.new", 0, "signing_key"),
    ("hmac.digest", 0, "signing_key"),
    ("createHmac", 1, "signing_key"),
    ("createCipheriv", 1, "encryption_key"),
    ("createDecipheriv", 1, "encryption_key"),
    ("AES.new", 0, "encryption_key"),
    ("Fernet", 0, "encryption_key"),
    ("URLSafeSerializer", 0, "signing_key"),
    ("URLSafeTimedSerializer", 0, "signing_key"),
    ("cookieParser", 0, "signing_key"),
    ("login", 1, "password"),
    ("auth", 1, "password"),
    ("basicAuth", 1, "password"),
    ("username_pw_set", 1, "password"),
    ("generate_password_hash", 0, "password"),
    ("hash_password", 0, "password"),
    ("hashpw", 0, "password"),
    ("AzureKeyCredential", 0, "api_key"),
    ("pyotp.TOTP", 0, "otp_secret"),
    ("authenticator.generate", 0, "otp_secret"),
];

/// Calls that type a text into a field or at a prompt.
const TYPED: &[&str] = &["send_keys", "sendKeys", "fill", "sendline", "type", "press_sequentially", "setValue"];

/// Parameters that stand in for what is not given.
const DEFAULTS: &[&str] = &["default", "fallback", "default_value", "defaultValue", "otherwise"];

/// Keys beside a credential that say whose it is.
const WHOSE: &[&str] =
    &["provider", "service", "vendor", "platform", "model_provider", "llm_provider", "api_type", "name", "type", "id"];

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
                ExprKind::Spread(inner) => set(*inner, Parent::Part(here)),
                _ => {}
            }
        }
        for assignment in &facts.place_assignments {
            set(assignment.value, Parent::Place(assignment.target));
        }
        for ((scope, sym), bindings) in facts.bindings.iter() {
            for binding in bindings {
                if let Bound::Expr(value) = binding.value {
                    set(value, Parent::Bound(*scope, *sym));
                }
            }
        }
        for function in &facts.functions {
            for param in &function.params {
                if let Some(default) = param.default {
                    set(default, Parent::Default(param.name, function.name));
                }
            }
            for returned in function.returns.iter().filter(|_| function.name.is_some()) {
                set(*returned, function.name.map_or(Parent::None, Parent::Returned));
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
        Context { facts, parents, uses: OnceCell::new(), fields: OnceCell::new() }
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
                    at = dict;
                }
                Parent::Arg(call, index, name) => match self.argument(&mut site, call, index, name) {
                    Some(next) => at = next,
                    None => break,
                },
                Parent::Bound(scope, sym) => {
                    site.bound.get_or_insert(sym);
                    add_name(&mut site, self.facts.name(sym).to_owned());
                    if let ScopeKind::Class(class) = self.facts.scopes[scope.0 as usize].kind
                        && let Some(name) = self.facts.classes[class.0 as usize].name
                    {
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
                Parent::Returned(function) => {
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

    fn part(&self, site: &mut Site, at: ExprId, whole: ExprId) {
        match self.facts.kind(whole) {
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
        match matches!(key.as_str(), "value" | "default" | "defaultValue" | "initialValue") {
            true => match beside(&["name", "key", "env", "header", "variable"]) {
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

    /// What a call says of one of its arguments; and the call itself when it hands the argument on.
    fn argument(&self, site: &mut Site, call: u32, index: u16, name: Option<Sym>) -> Option<ExprId> {
        let number = call as usize;
        let call = &self.facts.calls[number];
        let path = self.path(call.callee).join(".");
        let callee = path.rsplit('.').next().unwrap_or("").to_owned();
        let name = name.map(|name| self.facts.name(name));
        let first = call.args.first().and_then(|arg| self.facts.text(arg.value));
        let wrapper = WRAPPERS.contains(&callee.as_str());
        if LOGINS.contains(&callee.as_str()) && name.is_none() {
            site.login = Some(index as usize);
            site.name.get_or_insert_with(|| "auth".to_owned());
            return Some(call.expr);
        }
        let path = match path.starts_with("super") {
            true => self.base_around(call.expr).unwrap_or(path),
            false => path,
        };
        self.routed(site, call, name);
        let is_free = name.is_none() && site.name.is_none();
        if let Some((said, hands_on)) = is_free.then(|| self.parameter(call, index as usize)).flatten() {
            match DEFAULTS.contains(&said) {
                true => {
                    let others = call.args.iter().filter_map(|arg| self.looked_up(arg.value));
                    site.fallback = true;
                    site.name = others.into_iter().find(|name| names_secret(name));
                }
                false => site.name = Some(said.to_owned()),
            }
            site.bound = site.bound.or(self.facts.symbol(said));
            call.args.iter().take(32).for_each(|arg| self.add_host(site, arg.value));
            site.outer.extend(
                call.args
                    .iter()
                    .filter_map(|arg| self.facts.text(arg.value))
                    .filter(|text| text.len() <= 40)
                    .take(4)
                    .map(str::to_owned),
            );
            if hands_on {
                return Some(call.expr);
            }
            site.callee.get_or_insert(path);
            return None;
        }
        let taken = TAKE_SECRETS.iter().find(|(taker, position, _)| {
            *position == index as usize
                && (path == *taker || path.ends_with(taker) && path[..path.len() - taker.len()].ends_with('.'))
        });
        // `builder.with_api_key("…")`, `config.setToken("…")`, `.apiKey("…")`, `expect(config.token).toBe("…")`
        if index == 0 && call.args.len() == 1 && name.is_none() && site.name.is_none() {
            let words = names::words(&callee);
            let told = match words.split_first() {
                Some((verb, rest)) if matches!(verb.as_str(), "set" | "with") => rest,
                _ if path.len() > callee.len() || matches!(self.facts.kind(call.callee), ExprKind::Attr(..)) => &words,
                _ => &[],
            };
            let secret = names::classify(told).is_some_and(|kind| kind != Kind::Weak);
            site.name = secret.then(|| told.join("_")).or_else(|| self.compared(call.callee));
        }
        // `'api-key': Flags.string({ default: "…" })`: what takes the options stands for the value.
        if index == 0
            && site.fallback
            && site.name.is_none()
            && name.is_none()
            && matches!(self.facts.kind(call.args[index as usize].value), ExprKind::Dict(_))
        {
            return Some(call.expr);
        }
        // What is typed where a password is asked for: `find_element(By.NAME, "password").send_keys("…")`.
        if index == 0 && site.name.is_none() && TYPED.contains(&callee.as_str()) {
            site.name = self.asked_for(number);
        }
        if let Some((_, _, called)) = taken.filter(|_| name.is_none() && site.name.is_none()) {
            site.name = Some((*called).to_owned());
        }
        match name {
            Some("default" | "default_value" | "default_factory" | "factory" | "value" | "fallback") => {
                site.fallback |= name != Some("value");
                // `add_argument("--api-key", default=…)`: of several spellings, the long one.
                let option =
                    call.args.iter().filter_map(|arg| self.facts.text(arg.value)).find(|text| text.starts_with("--"));
                let said = |wanted: &[&str]| {
                    let named =
                        |arg: &&crate::facts::Arg| arg.name.is_some_and(|name| wanted.contains(&self.facts.name(name)));
                    call.args.iter().find(named).and_then(|arg| self.facts.text(arg.value))
                };
                let option = option.or(said(&["dest"]));
                site.outer.extend(said(&["envvar", "env_var", "env"]).map(str::to_owned));
                match option.or(first.filter(|first| !wrapper && plain::kind(first).is_some())) {
                    Some(option) if site.name.is_none() => site.name = Some(option.trim_start_matches('-').to_owned()),
                    _ if wrapper || name != Some("value") && site.name.is_none() => return Some(call.expr),
                    _ => {}
                }
            }
            Some(name) => add_name(site, name.to_owned()),
            None => {
                let by = call.args.get(index.saturating_sub(1) as usize).and_then(|arg| self.facts.text(arg.value));
                let named_by_first = NAMED_BY_FIRST.contains(&callee.as_str());
                let second = index == 1 && (named_by_first || by.is_some_and(is_variable))
                    || index > 0 && by.is_some_and(is_secrets_name)
                    || index == 2
                        && (matches!(callee.as_str(), "set_key" | "setattr" | "getattr")
                            || named_by_first && by.is_some_and(names_secret));
                match by {
                    Some(by) if second && site.name.is_none() => {
                        let asks = ["get", "env", "pop"].iter().any(|part| callee.to_ascii_lowercase().contains(part));
                        site.fallback = asks && callee != "setenv" && callee != "putenv"
                            || callee == "default"
                            || callee == "setdefault";
                        site.name = Some(by.to_owned());
                        if site.fallback {
                            return Some(call.expr); // What is looked up goes on to a variable.
                        }
                    }
                    // `next((…), "…")`: what is taken when there is nothing.
                    _ if callee == "next" && index == 1 => {
                        site.fallback = true;
                        return Some(call.expr);
                    }
                    _ if wrapper && index == 0 => {
                        site.fallback |= matches!(callee.as_str(), "default" | "Field" | "field" | "Query" | "Header");
                        return Some(call.expr);
                    }
                    _ => {
                        let said = first.filter(|_| index > 0 && site.name.is_none());
                        let option = said.and_then(option_name);
                        site.fallback |= option.is_some();
                        let default = said.filter(|first| site.fallback && names_secret(first)).map(str::to_owned);
                        let name = option.or(default).or_else(|| announced(said?, index as usize));
                        site.name = site.name.take().or(name);
                        if site.callee.is_none() {
                            site.position = Some(index as usize);
                        }
                    }
                }
            }
        }
        for arg in call.args.iter().take(32) {
            self.add_host(site, arg.value);
            if let ExprKind::Dict(pairs) = self.facts.kind(arg.value) {
                pairs.iter().take(32).for_each(|(_, value)| self.add_host(site, *value));
            }
        }
        // `httpx.Client(base_url=…).post(…)`: the address stands before.
        if let ExprKind::Attr(base, _) = *self.facts.kind(call.callee)
            && let Some(inner) = self.facts.call(self.origin(base))
        {
            inner.args.iter().take(16).for_each(|arg| self.add_host(site, arg.value));
        }
        site.callee.get_or_insert(path);
        None
    }

    /// What the field or the prompt is called that a call types into: its own, or that of the call before.
    fn asked_for(&self, number: usize) -> Option<String> {
        let ExprKind::Attr(base, _) = *self.facts.kind(self.facts.calls[number].callee) else { return None };
        let own = self.facts.call(base);
        let before = number.checked_sub(1).map(|before| &self.facts.calls[before]);
        let before =
            before.filter(|before| self.path(before.callee).pop().is_some_and(|name| name.starts_with("expect")));
        let texts = own.or(before)?.args.iter().filter_map(|arg| self.facts.text(arg.value));
        let mut texts = texts.filter(|text| text.len() <= 60);
        // A prompt is a pattern: `[Pp]assword:`.
        let said = |text: &str| {
            text.to_ascii_lowercase().replace("[pp]", "p").trim_matches(|c: char| !c.is_alphanumeric()).to_owned()
        };
        texts.find_map(|text| Some(said(text)).filter(|name| plain::kind(name) == Some(Kind::Password)))
    }

    /// `super().__init__(…)` asks the base of the class around it.
    fn base_around(&self, id: ExprId) -> Option<String> {
        let mut scope = Some(self.facts.scope_of(id));
        for _ in 0..CLIMB {
            let here = self.facts.scopes[scope?.0 as usize];
            if let ScopeKind::Class(class) = here.kind {
                let base = self.facts.classes[class.0 as usize].bases.first()?;
                return Some(self.path(*base).join("."));
            }
            scope = here.parent;
        }
        None
    }

    /// `f(model_provider="groq", api_key="…")`, `f(model="groq/…", api_key="…")`: whose the call says it is.
    fn routed(&self, site: &mut Site, call: &Call, name: Option<&str>) {
        if !name.is_some_and(names_secret) {
            return;
        }
        for (index, arg) in call.args.iter().take(32).enumerate() {
            let Some(text) = self.facts.text(arg.value).filter(|text| text.len() <= 80) else { continue };
            let by = arg.name.map(|name| self.facts.name(name));
            let whose = match by {
                Some("provider" | "model_provider" | "llm_provider" | "api_type" | "service" | "vendor") => Some(text),
                Some("model" | "model_id" | "model_name") => text.split_once('/').map(|(route, _)| route),
                None if index == 0 => text.split_once('/').map(|(route, _)| route),
                _ => None,
            };
            site.routes.extend(whose.map(str::to_owned));
        }
    }

    /// The parameter of a function or the field of a class of this file that an argument becomes; and whether what is
    /// called gives something back that it is part of.
    fn parameter(&self, call: &Call, index: usize) -> Option<(&'f str, bool)> {
        let function = |id: FunctionId, skip: usize| {
            let param = self.facts.functions[id.0 as usize].params.get(index + skip)?;
            Some((self.facts.name(param.name?), true))
        };
        let sym = match *self.facts.kind(call.callee) {
            ExprKind::Function(id) => return function(id, 0),
            ExprKind::Name(sym) => sym,
            _ => return None,
        };
        let [binding] = self.facts.bindings_in(crate::facts::MODULE, sym) else { return None };
        match binding.value {
            Bound::Function(id) => function(id, 0),
            Bound::Expr(value) => match self.facts.kind(value) {
                ExprKind::Function(id) => function(*id, 0),
                ExprKind::Call(made) => {
                    let made = &self.facts.calls[*made as usize];
                    let fields = made
                        .args
                        .get(1)
                        .filter(|_| self.path(made.callee).last().is_some_and(|n| n == "namedtuple"))?;
                    let mut fields = self.facts.text(fields.value)?.split([' ', ',']).filter(|field| !field.is_empty());
                    Some((fields.nth(index)?, false))
                }
                _ => None,
            },
            Bound::Class(class) => {
                let scope = self.facts.classes[class.0 as usize].scope;
                let made = ["__init__", "constructor"].iter().find_map(|name| {
                    match self.facts.bindings_named(scope, name).last()?.value {
                        Bound::Function(id) => Some((id, usize::from(*name == "__init__"))),
                        _ => None,
                    }
                });
                match made {
                    Some((id, skip)) => function(id, skip),
                    None => Some((self.facts.name(*self.fields(class).get(index)?), false)),
                }
            }
            _ => None,
        }
    }

    /// The annotated fields of a class, in order: what a data class takes.
    fn fields(&self, class: ClassId) -> &[Sym] {
        let all = self.fields.get_or_init(|| {
            let mut all: FxHashMap<ScopeId, Vec<(ExprId, Sym)>> = FxHashMap::default();
            for ((scope, sym), bindings) in self.facts.bindings.iter() {
                let annotated = bindings.iter().find(|binding| matches!(binding.value, Bound::Annotation(_)));
                if let Some(binding) =
                    annotated.filter(|_| matches!(self.facts.scopes[scope.0 as usize].kind, ScopeKind::Class(_)))
                {
                    all.entry(*scope).or_default().push((binding.at, *sym));
                }
            }
            let sorted = |mut fields: Vec<(ExprId, Sym)>| {
                fields.sort();
                fields.into_iter().map(|(_, sym)| sym).collect()
            };
            all.into_iter().map(|(scope, fields)| (scope, sorted(fields))).collect()
        });
        all.get(&self.facts.classes[class.0 as usize].scope).map_or(&[], Vec::as_slice)
    }

    /// `expect(config.token).toBe`: what is compared with the argument.
    fn compared(&self, callee: ExprId) -> Option<String> {
        let ExprKind::Attr(base, _) = *self.facts.kind(callee) else { return None };
        let inner = self.facts.call(base)?;
        let [told] = &inner.args[..] else { return None };
        let by = self.path(inner.callee).pop()?;
        let name = self.path(told.value).pop().filter(|name| names_secret(name));
        name.filter(|_| matches!(by.as_str(), "expect" | "assertThat" | "assert_that"))
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

    /// Where a variable goes.
    pub fn uses_of(&self, sym: Sym) -> impl Iterator<Item = Site> + '_ {
        let uses = self.uses.get_or_init(|| {
            let mut uses: FxHashMap<Sym, Vec<ExprId>> = FxHashMap::default();
            for (index, expr) in self.facts.exprs.iter().enumerate() {
                if let ExprKind::Name(name) | ExprKind::Attr(_, name) = expr.kind {
                    uses.entry(name).or_default().push(ExprId(index as u32));
                }
            }
            uses
        });
        uses.get(&sym).map_or(&[][..], Vec::as_slice).iter().take(32).map(|id| self.site(*id))
    }
}

/// A name that says of itself that its value is secret: `X-Api-Key`, not `auth`, which is also a module's.
fn names_secret(name: &str) -> bool {
    plain::kind(name).is_some_and(|kind| kind != Kind::Weak) || name.eq_ignore_ascii_case("authorization")
}

/// One name, maybe with a path before it, that says so: `agent.api_key`. The words of a sentence are none.
fn is_secrets_name(name: &str) -> bool {
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

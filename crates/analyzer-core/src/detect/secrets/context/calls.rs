//! What a call says of its arguments: the name that one gets, whose it is, and what it is handed on to.

use rustc_hash::FxHashMap;

use super::super::names::{self, Kind};
use super::super::plain;
use super::{
    CLIMB, Context, Parent, Site, add_name, announced, is_secrets_name, is_variable, names_secret, option_name,
};
use crate::facts::{Bound, Call, ClassId, ExprId, ExprKind, FunctionId, ScopeId, ScopeKind, Sym};

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
    "defaultdict",
    "Unicode",
    "next",
    "encodeURIComponent",
];

/// Calls that make a login of a name and a password.
const LOGINS: &[&str] =
    &["HTTPBasicAuth", "BasicAuth", "HTTPDigestAuth", "DigestAuth", "HttpNtlmAuth", "UsernameToken"];

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
    ("bcrypt.hash", 0, "password"),
    ("AzureKeyCredential", 0, "api_key"),
    ("pyotp.TOTP", 0, "otp_secret"),
    ("authenticator.generate", 0, "otp_secret"),
];

/// Calls that type a text into a field or at a prompt.
const TYPED: &[&str] = &["send_keys", "sendKeys", "fill", "sendline", "type", "press_sequentially", "setValue"];

/// Parameters that stand in for what is not given.
const DEFAULTS: &[&str] = &["default", "fallback", "default_value", "defaultValue", "otherwise"];

/// Calls whose last argument stands in for what the others do not give.
const LAST_DEFAULTS: &[&str] = &["optional", "nullish", "withDefault", "fallback", "coalesce", "nullable", "filter"];

impl<'f> Context<'f> {
    /// What a call says of one of its arguments; and the call itself when it hands the argument on.
    pub(super) fn argument(&self, site: &mut Site, call: u32, index: u16, name: Option<Sym>) -> Option<ExprId> {
        let number = call as usize;
        let call = &self.facts.calls[number];
        let path = self.path(call.callee).join(".");
        let callee = path.rsplit('.').next().unwrap_or("").to_owned();
        let given = name.map(|name| self.facts.name(name));
        let first = call.args.first().and_then(|arg| self.facts.text(arg.value));
        let wrapper = WRAPPERS.contains(&callee.as_str());
        if LOGINS.contains(&callee.as_str()) && given.is_none() {
            site.login = Some(index as usize);
            site.name.get_or_insert_with(|| "auth".to_owned());
            return Some(call.expr);
        }
        let path = match path.starts_with("super") {
            true => self.base_around(call.expr).unwrap_or(path),
            false => path,
        };
        self.routed(site, call, given);
        self.made_by(site, call, index);
        if site.name.is_none() && name.is_none_or(|name| self.facts.name(name) == "defaults") {
            site.name = self.paired(site, call, index, name.is_some());
        }
        let name = name.map(|name| self.facts.name(name));
        if name.is_none() && LAST_DEFAULTS.contains(&callee.as_str()) && index as usize + 1 == call.args.len() {
            site.fallback = true;
            if site.name.is_none() && call.args.len() > 1 {
                site.name =
                    call.args.iter().find_map(|arg| self.looked_up(arg.value)).filter(|name| names_secret(name));
            }
            return Some(call.expr);
        }
        if name.is_none() && site.name.is_none() {
            site.name = self.begun(call.callee);
        }
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
            Some("default" | "default_value" | "default_factory" | "factory" | "value" | "fallback" | "to") => {
                site.fallback |= !matches!(name, Some("value" | "to"));
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
        // `{ groq: createProvider({ apiKey: "…" }) }`: the entry that holds what is made.
        if let Some(Parent::Entry(_, key)) = self.parents.get(call.expr.0 as usize) {
            site.outer.extend(self.facts.text(*key).map(str::to_owned));
        }
        None
    }

    /// `client.with_options(api_key="…")`: what `client` is; `Singleton(Client, api_key="…")`: what is made.
    fn made_by(&self, site: &mut Site, call: &Call, index: u16) {
        if site.made.is_some() {
            return;
        }
        if let ExprKind::Name(class) = *self.facts.kind(call.callee)
            && self.facts.name(class).starts_with(|c: char| c.is_ascii_uppercase())
            && let [one] = self.facts.bindings_in(crate::facts::MODULE, class)
            && let Bound::Import(import) = one.value
        {
            site.from = Some(self.facts.imports[import as usize].module.to_string());
        }
        if let ExprKind::Attr(base, _) = *self.facts.kind(call.callee)
            && let Some(made) = self.facts.call(self.origin(base))
        {
            site.made = Some(self.path(made.callee).join("."));
        }
        if index > 0
            && let Some(first) = call.args.first()
            && matches!(self.facts.kind(first.value), ExprKind::Name(_) | ExprKind::Attr(..))
        {
            let path = self.path(first.value);
            let class = path.last().is_some_and(|name| name.starts_with(|c: char| c.is_ascii_uppercase()));
            if class {
                site.made = Some(path.join("."));
            }
        }
    }

    /// `zip(names, values)`, `namedtuple("T", names, defaults=values)`: the name at the same place, from the end.
    fn paired(&self, site: &Site, call: &Call, index: u16, defaults: bool) -> Option<String> {
        let own = call.args.get(index as usize)?.value;
        let (ExprKind::List(values), Some(place)) = (self.facts.kind(own), site.login) else { return None };
        let from_end = values.len().checked_sub(place)?;
        let lists = call.args.iter().take(index as usize).filter_map(|arg| match self.facts.kind(arg.value) {
            ExprKind::List(names) if names.len() == values.len() || defaults && names.len() > values.len() => {
                Some(names)
            }
            _ => None,
        });
        let mut said = lists.filter_map(|names| self.facts.text(names[names.len().checked_sub(from_end)?]));
        said.find(|name| names_secret(name)).map(str::to_owned)
    }

    /// `bind("API_KEY").toConstantValue("…")`, `string("API_KEY").pipe(withDefault("…"))`: what was asked for before.
    fn begun(&self, callee: ExprId) -> Option<String> {
        let ExprKind::Attr(base, _) = *self.facts.kind(callee) else { return None };
        let before = self.facts.call(base)?;
        let [asked] = &before.args[..] else { return None };
        self.facts.text(asked.value).filter(|name| is_variable(name)).map(str::to_owned)
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
                None if index == 0 && text.bytes().all(|b| b.is_ascii_lowercase()) => Some(text),
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
}

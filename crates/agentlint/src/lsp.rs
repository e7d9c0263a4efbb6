//! `lsp`: a language server on standard input and output. One loop, no async: a message, an analysis, an answer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use analyzer_core::Session;
use analyzer_core::lint::{Finding, Report, Severity, comment_sign};
use lsp_server::{Connection, Message, Notification, Request, Response};
use lsp_types::notification::{
    DidChangeTextDocument, DidChangeWatchedFiles, DidCloseTextDocument, DidOpenTextDocument, DidSaveTextDocument,
    LogMessage, Notification as _, PublishDiagnostics, ShowMessage,
};
use lsp_types::request::{CodeActionRequest, HoverRequest, RegisterCapability, Request as _};
use lsp_types::{
    CodeAction, CodeActionKind, CodeActionOptions, CodeActionOrCommand, CodeActionProviderCapability, Diagnostic,
    DiagnosticSeverity, Hover, HoverContents, HoverProviderCapability, InitializeParams, InitializeResult,
    MarkupContent, MarkupKind, MessageType, NumberOrString, Position, PositionEncodingKind, PublishDiagnosticsParams,
    Range, ServerCapabilities, ServerInfo, TextDocumentSyncCapability, TextDocumentSyncKind, TextEdit, Uri,
    WorkspaceEdit,
};

use crate::Done;
use crate::check;
use crate::cli::Global;
use crate::config::Config;
use crate::discover::Found;
use crate::edits;
use crate::error::Error;
use crate::project::{Chosen, Project};

/// Serves until the client leaves.
pub fn run(global: &Global) -> Result<Done, Error> {
    let (connection, threads) = Connection::stdio();
    serve(&connection, global)?;
    drop(connection);
    threads.join().map_err(|error| Error::Usage(error.to_string()))?;
    Ok(Done::default())
}

fn protocol(error: impl std::fmt::Display) -> Error {
    Error::Usage(format!("language server: {error}"))
}

fn serve(connection: &Connection, global: &Global) -> Result<(), Error> {
    let (id, params) = connection.initialize_start().map_err(protocol)?;
    let params: InitializeParams = serde_json::from_value(params).map_err(protocol)?;
    let offered = params.capabilities.general.as_ref().and_then(|general| general.position_encodings.as_ref());
    let bytes = offered.is_some_and(|offered| offered.contains(&PositionEncodingKind::UTF8));
    let result = InitializeResult {
        capabilities: capabilities(bytes),
        server_info: Some(ServerInfo { name: "agentlint".into(), version: Some(env!("CARGO_PKG_VERSION").into()) }),
    };
    connection.initialize_finish(id, serde_json::to_value(result).map_err(protocol)?).map_err(protocol)?;
    let (mut server, problem) = Server::new(&root(&params), global, bytes)?;
    if let Some(problem) = problem {
        tell::<ShowMessage>(connection, MessageType::ERROR, problem.to_string())?;
    }
    let watches =
        params.capabilities.workspace.as_ref().and_then(|workspace| workspace.did_change_watched_files.as_ref());
    if watches.is_some_and(|watches| watches.dynamic_registration == Some(true)) {
        let watchers = serde_json::json!({"watchers": [{"globPattern": "**/*"}]});
        let own =
            serde_json::json!({"id": "files", "method": DidChangeWatchedFiles::METHOD, "registerOptions": watchers});
        let params = serde_json::json!({ "registrations": [own] });
        let request = Request::new("files".to_owned().into(), RegisterCapability::METHOD.into(), params);
        connection.sender.send(Message::Request(request)).map_err(protocol)?;
    }
    server.refresh(connection)?;
    for message in &connection.receiver {
        match message {
            Message::Request(request) => {
                if connection.handle_shutdown(&request).map_err(protocol)? {
                    return Ok(());
                }
                let response = server.answer(request);
                connection.sender.send(Message::Response(response)).map_err(protocol)?;
            }
            Message::Notification(notification) => {
                if let Err(error) = server.hear(notification) {
                    tell::<ShowMessage>(connection, MessageType::ERROR, error.to_string())?;
                }
                for line in std::mem::take(&mut server.unheard) {
                    tell::<LogMessage>(connection, MessageType::WARNING, line)?;
                }
            }
            Message::Response(_) => {}
        }
        // Whoever types fast is answered for what stands there at last.
        if server.is_stale && connection.receiver.is_empty() {
            server.refresh(connection)?;
        }
    }
    Ok(())
}

/// A line for the editor's user, or for its log.
fn tell<N: lsp_types::notification::Notification>(
    connection: &Connection,
    kind: MessageType,
    text: String,
) -> Result<(), Error> {
    let params = serde_json::json!({"type": kind, "message": format!("agentlint: {text}")});
    let notification = Notification::new(N::METHOD.into(), params);
    connection.sender.send(Message::Notification(notification)).map_err(protocol)
}

fn capabilities(bytes: bool) -> ServerCapabilities {
    let actions = CodeActionOptions { code_action_kinds: Some(vec![CodeActionKind::QUICKFIX]), ..Default::default() };
    ServerCapabilities {
        position_encoding: Some(if bytes { PositionEncodingKind::UTF8 } else { PositionEncodingKind::UTF16 }),
        text_document_sync: Some(TextDocumentSyncCapability::Kind(TextDocumentSyncKind::INCREMENTAL)),
        hover_provider: Some(HoverProviderCapability::Simple(true)),
        code_action_provider: Some(CodeActionProviderCapability::Options(actions)),
        ..Default::default()
    }
}

/// The folder that the editor has open.
fn root(params: &InitializeParams) -> PathBuf {
    let folder = params.workspace_folders.as_ref().and_then(|folders| folders.first()).map(|folder| &folder.uri);
    #[expect(deprecated, reason = "older editors say it this way")]
    let uri = folder.or(params.root_uri.as_ref());
    uri.and_then(path_of).unwrap_or_else(|| ".".into())
}

struct Server<'g> {
    global: &'g Global,
    project: Project,
    rules: Chosen,
    session: Session,
    /// Texts of files that the editor has open: what the disk has does not matter.
    open: BTreeMap<String, Arc<str>>,
    report: Report,
    /// Files with diagnostics at the editor.
    shown: BTreeSet<String>,
    /// For whoever reads the editor's log.
    unheard: Vec<String>,
    /// Positions count bytes, not UTF-16 units.
    bytes: bool,
    is_stale: bool,
}

/// Files that say what is checked and how.
const CONFIGURING: [&str; 4] = ["agentlint.toml", "pyproject.toml", "package.json", "agent.lock"];

impl<'g> Server<'g> {
    fn new(root: &Path, global: &'g Global, bytes: bool) -> Result<(Server<'g>, Option<Error>), Error> {
        let root = std::fs::canonicalize(root).map_err(|error| Error::Read(root.to_owned(), error))?;
        let found = Found::default();
        let project = Project::new(root.clone(), String::new(), root, found, Config::default(), None)?;
        let mut server = Server {
            global,
            project,
            rules: Chosen::default(),
            session: Session::new(analyzer_core::Options::default()),
            open: BTreeMap::new(),
            report: Report::default(),
            shown: BTreeSet::new(),
            unheard: Vec::new(),
            bytes,
            is_stale: true,
        };
        let problem = server.reload().err();
        if problem.is_some() {
            // Until the configuration is mended: what would be checked without one.
            server.project = Project::of_folder(&server.project.root, &Global { isolated: true, ..Global::default() })?;
            server.take_in(None);
        }
        Ok((server, problem))
    }

    /// Reads the folder and its configuration anew.
    fn reload(&mut self) -> Result<(), Error> {
        let project = Project::of_folder(&self.project.root, self.global)?;
        let rules = project.rules(&[], &[], false)?;
        project.declared()?;
        let before = std::mem::replace(&mut self.project, project);
        self.rules = rules;
        self.take_in(Some(&before));
        Ok(())
    }

    /// Gives the session what the folder has and the editor has open.
    fn take_in(&mut self, before: Option<&Project>) {
        self.is_stale = true;
        let known = before.filter(|before| before.pack_texts == self.project.pack_texts);
        if known.is_none() {
            self.session = Session::new(self.project.options());
        }
        let mut gone: BTreeSet<&str> =
            known.iter().flat_map(|before| before.sources.files()).map(|source| &*source.path).collect();
        for source in self.project.sources.files() {
            gone.remove(&*source.path);
            let text = self.open.get(&*source.path).unwrap_or(&source.text);
            if self.session.text(&source.path) != Some(text) {
                self.session.set(&source.path, text.clone());
            }
        }
        gone.iter().filter(|path| !self.open.contains_key(**path)).for_each(|path| self.session.remove(path));
        for (path, text) in &self.open {
            if self.session.text(path) != Some(text) {
                self.session.set(path, text.clone());
            }
        }
    }

    /// Takes in what changed; what could not be, in the editor's log.
    fn hear(&mut self, notification: Notification) -> Result<(), Error> {
        let Notification { method, params } = notification;
        match method.as_str() {
            DidOpenTextDocument::METHOD => {
                if let Some(params) = self.parsed::<DidOpenTextDocument>(&method, params) {
                    self.set(&params.text_document.uri, Some(params.text_document.text));
                }
            }
            DidChangeTextDocument::METHOD => {
                let Some(params) = self.parsed::<DidChangeTextDocument>(&method, params) else { return Ok(()) };
                let uri = params.text_document.uri;
                let known = self.path(&uri).and_then(|path| self.session.text(&path).cloned());
                match known {
                    Some(known) => {
                        self.set(&uri, Some(edits::edited(&known, params.content_changes, self.bytes)));
                    }
                    None => self.unheard.push(format!("{method}: this file was not opened")),
                }
            }
            DidCloseTextDocument::METHOD => {
                if let Some(params) = self.parsed::<DidCloseTextDocument>(&method, params) {
                    self.set(&params.text_document.uri, None);
                }
            }
            DidSaveTextDocument::METHOD => {
                let Some(params) = self.parsed::<DidSaveTextDocument>(&method, params) else { return Ok(()) };
                let path = self.path(&params.text_document.uri).unwrap_or_default();
                if CONFIGURING.iter().any(|name| path.rsplit('/').next() == Some(name)) {
                    return self.reload();
                }
            }
            // Others wrote them: a version control, a tool, another editor.
            DidChangeWatchedFiles::METHOD => return self.reload(),
            // Everything else concerns nobody here.
            _ => {}
        }
        Ok(())
    }

    fn parsed<N: lsp_types::notification::Notification>(
        &mut self,
        method: &str,
        params: serde_json::Value,
    ) -> Option<N::Params> {
        let params = serde_json::from_value(params).ok();
        if params.is_none() {
            // The error itself would quote what was sent.
            self.unheard.push(format!("{method}: the parameters are none that this notification has"));
        }
        params
    }

    /// A file as the editor has it; closed, it is what the disk has.
    fn set(&mut self, uri: &Uri, text: Option<String>) {
        let Some(path) = self.path(uri) else { return };
        self.is_stale = true;
        match text {
            Some(text) => {
                let text: Arc<str> = text.into();
                self.session.set(&path, text.clone());
                self.open.insert(path, text);
            }
            None => {
                self.open.remove(&path);
                match std::fs::read_to_string(self.project.root.join(&path)) {
                    Ok(text) => self.session.set(&path, text),
                    Err(_) => self.session.remove(&path),
                }
            }
        }
    }

    /// Analyzes, and sends what is wrong in each file where that changed.
    fn refresh(&mut self, connection: &Connection) -> Result<(), Error> {
        self.is_stale = false;
        // Files beyond the limits, a lock that is being written: what was known stays.
        let Ok(mut report) = self.project.lint_in(&mut self.session, self.rules.clone(), false) else { return Ok(()) };
        if let Err(error) = check::without_known(&self.project, &self.rules, None, None, &mut report) {
            tell::<ShowMessage>(connection, MessageType::ERROR, error.to_string())?;
        }
        self.report = report;
        let mut by_file: BTreeMap<String, Vec<Diagnostic>> = BTreeMap::new();
        for path in std::mem::take(&mut self.shown) {
            by_file.insert(path, Vec::new());
        }
        for finding in &self.report.findings {
            self.shown.insert(finding.file.clone());
            by_file.entry(finding.file.clone()).or_default().push(self.diagnostic(finding));
        }
        for (path, diagnostics) in by_file {
            let Some(uri) = self.uri(&path) else { continue };
            let params = PublishDiagnosticsParams { uri, diagnostics, version: None };
            let notification = Notification::new(PublishDiagnostics::METHOD.into(), params);
            connection.sender.send(Message::Notification(notification)).map_err(protocol)?;
        }
        Ok(())
    }

    fn diagnostic(&self, finding: &Finding) -> Diagnostic {
        Diagnostic {
            range: self.range(finding),
            severity: Some(match finding.severity {
                Severity::High => DiagnosticSeverity::ERROR,
                Severity::Medium => DiagnosticSeverity::WARNING,
                Severity::Low => DiagnosticSeverity::INFORMATION,
                Severity::Info => DiagnosticSeverity::HINT,
            }),
            code: Some(NumberOrString::String(finding.rule.into())),
            source: Some("agentlint".into()),
            message: format!("{}; {}", finding.message, finding.help),
            ..Default::default()
        }
    }

    fn answer(&mut self, request: Request) -> Response {
        match request.method.as_str() {
            HoverRequest::METHOD => match serde_json::from_value(request.params) {
                Ok(params) => Response::new_ok(request.id, self.hover(&params)),
                Err(error) => invalid(request.id, &error),
            },
            CodeActionRequest::METHOD => match serde_json::from_value(request.params) {
                Ok(params) => Response::new_ok(request.id, self.actions(&params)),
                Err(error) => invalid(request.id, &error),
            },
            other => {
                let code = lsp_server::ErrorCode::MethodNotFound as i32;
                Response::new_err(request.id, code, format!("{other} is not offered"))
            }
        }
    }

    /// What stands at a line: findings with their reasons, and what the agent touches there.
    fn hover(&self, params: &lsp_types::HoverParams) -> Option<Hover> {
        let params = &params.text_document_position_params;
        let path = self.path(&params.text_document.uri)?;
        let line = params.position.line + 1;
        let mut parts = Vec::new();
        let here = |finding: &&Finding| finding.file == path && (finding.line..=finding.end_line).contains(&line);
        for finding in self.report.findings.iter().filter(here) {
            let steps: Vec<String> =
                finding.because.iter().map(|step| format!("{} ({}:{})", step.what, step.file, step.line)).collect();
            let because = if steps.is_empty() { String::new() } else { format!("\n\n{}", steps.join(" → ")) };
            parts.push(format!("**{}** {}. {}.{because}", finding.rule, finding.message, finding.help));
        }
        let analysis = &self.report.analysis;
        for secret in analysis.secrets.iter().filter(|secret| secret.file == path && secret.line == line) {
            parts.push(format!("`{}` {}", secret.preview, secret.description));
        }
        for tool in &analysis.tools {
            for site in tool.call_sites.iter().filter(|site| site.file == path && site.line == line) {
                let request = [&site.method, &site.path].into_iter().flatten().cloned().collect::<Vec<_>>().join(" ");
                parts.push(format!(
                    "tool `{}`: {} `{request}`",
                    tool.name,
                    tool.base_url.as_deref().unwrap_or_default()
                ));
            }
        }
        for usage in analysis.model_usages.iter().filter(|usage| usage.file == path && usage.line == line) {
            parts.push(format!("model `{}/{}`", usage.provider, usage.model.as_deref().unwrap_or("unknown")));
        }
        let value = parts.join("\n\n---\n\n");
        let contents = HoverContents::Markup(MarkupContent { kind: MarkupKind::Markdown, value });
        (!parts.is_empty()).then_some(Hover { contents, range: None })
    }

    /// Repairs of the findings in a range, and comments that silence them.
    #[expect(
        clippy::mutable_key_type,
        reason = "addresses are the keys that the protocol's crate wants; nothing changes them"
    )]
    fn actions(&self, params: &lsp_types::CodeActionParams) -> Vec<CodeActionOrCommand> {
        let Some(path) = self.path(&params.text_document.uri) else { return Vec::new() };
        let mut actions = Vec::new();
        for finding in self.report.findings.iter().filter(|finding| finding.file == path) {
            let range = self.range(finding);
            if range.end < params.range.start || params.range.end < range.start {
                continue;
            }
            let mut add = |title: String, changes: HashMap<Uri, Vec<TextEdit>>, preferred: bool| {
                actions.push(CodeActionOrCommand::CodeAction(CodeAction {
                    title,
                    kind: Some(CodeActionKind::QUICKFIX),
                    diagnostics: Some(vec![self.diagnostic(finding)]),
                    edit: Some(WorkspaceEdit { changes: Some(changes), ..Default::default() }),
                    is_preferred: Some(preferred),
                    ..Default::default()
                }));
            };
            if let Some(fix) = &finding.fix {
                let mut changes: HashMap<Uri, Vec<TextEdit>> = HashMap::new();
                for edit in &fix.edits {
                    let (Some(uri), Some(text)) = (self.uri(&edit.file), self.session.text(&edit.file)) else {
                        continue;
                    };
                    let range = Range { start: self.position(text, edit.start), end: self.position(text, edit.end) };
                    changes.entry(uri).or_default().push(TextEdit { range, new_text: edit.text.clone() });
                }
                add(fix.title.clone(), changes, fix.safe);
            }
            if let (Some(uri), Some(text), false) = (self.uri(&path), self.session.text(&path), path.ends_with(".json"))
            {
                let line = text.lines().nth(finding.line as usize - 1).unwrap_or("");
                let space = &line[..line.len() - line.trim_start().len()];
                let sign = comment_sign(&path);
                let start = Position { line: finding.line - 1, character: 0 };
                let new_text = format!("{space}{sign} agentlint: ignore[{}] TODO: say why\n", finding.rule);
                let edit = TextEdit { range: Range { start, end: start }, new_text };
                add(format!("ignore {} here", finding.rule), HashMap::from([(uri, vec![edit])]), false);
            }
        }
        actions
    }

    fn range(&self, finding: &Finding) -> Range {
        let Some(text) = self.session.text(&finding.file) else { return Range::default() };
        let place = |line: u32, column: u32| {
            let own = text.lines().nth(line as usize - 1).unwrap_or("");
            let before: String = own.chars().take(column as usize - 1).collect();
            Position { line: line - 1, character: self.width(&before) }
        };
        Range { start: place(finding.line, finding.column), end: place(finding.end_line, finding.end_column) }
    }

    fn position(&self, text: &str, at: usize) -> Position {
        let before = &text[..at.min(text.len())];
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        Position { line: before.matches('\n').count() as u32, character: self.width(&before[start..]) }
    }

    fn width(&self, text: &str) -> u32 {
        let width = if self.bytes { text.len() } else { text.encode_utf16().count() };
        u32::try_from(width).unwrap_or(u32::MAX)
    }

    /// A path from the root; none for what lies elsewhere.
    fn path(&self, uri: &Uri) -> Option<String> {
        let path = path_of(uri)?;
        let path = std::fs::canonicalize(&path).unwrap_or(path);
        Some(path.strip_prefix(&self.project.root).ok()?.to_string_lossy().replace('\\', "/"))
    }

    fn uri(&self, path: &str) -> Option<Uri> {
        let whole = self.project.root.join(path).to_string_lossy().replace('\\', "/");
        let mut uri = String::from("file://");
        for byte in whole.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(byte as char),
                _ => uri.push_str(&format!("%{byte:02X}")),
            }
        }
        uri.parse().ok()
    }
}

/// The error itself would quote what was sent, which may hold a credential.
fn invalid(id: lsp_server::RequestId, _: &serde_json::Error) -> Response {
    let message = "the parameters are none that this request takes".to_owned();
    Response::new_err(id, lsp_server::ErrorCode::InvalidParams as i32, message)
}

/// The path of a `file:` address.
fn path_of(uri: &Uri) -> Option<PathBuf> {
    let encoded = uri.as_str().strip_prefix("file://")?;
    let mut bytes = Vec::new();
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                bytes.push((digit(rest.next())? * 16 + digit(rest.next())?) as u8);
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok().map(PathBuf::from)
}

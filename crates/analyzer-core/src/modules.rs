//! Placeholder.
use crate::sources::Sources;
#[derive(Debug, Default)]
pub struct Modules { files: Vec<String> }
impl Modules {
    pub fn new(s: &Sources) -> Self { Modules { files: s.files().iter().map(|f| f.path.to_string()).collect() } }
    pub fn resolve_python(&self, importer: &str, module: &str, item: Option<&str>) -> Option<usize> {
        let dir: Vec<&str> = importer.split('/').collect();
        let dots = module.chars().take_while(|c| *c == '.').count();
        let mut parts: Vec<&str> = module.trim_start_matches('.').split('.').filter(|p| !p.is_empty()).collect();
        parts.extend(item);
        let find = |base: &[&str]| {
            let full = base.iter().chain(&parts).copied().collect::<Vec<_>>().join("/");
            [format!("{full}.py"), format!("{full}/__init__.py")].iter().find_map(|p| self.files.iter().position(|f| f == p))
        };
        if dots > 0 { return find(&dir[..dir.len().saturating_sub(dots)]); }
        (0..dir.len()).rev().find_map(|n| find(&dir[..n])).or_else(|| find(&["src"]))
    }
    pub fn is_local_python(&self, _i: &str, _m: &str) -> bool { false }
    pub fn resolve_js(&self, importer: &str, spec: &str) -> Option<usize> {
        if !spec.starts_with('.') && !spec.starts_with("@/") { return None; }
        let mut dir: Vec<&str> = importer.split('/').collect(); dir.pop();
        if spec.starts_with("@/") { dir.clear(); }
        for p in spec.trim_start_matches("@/").split('/') { match p { "." | "" => {}, ".." => { dir.pop(); }, p => dir.push(p) } }
        let base = dir.join("/");
        let stem = base.strip_suffix(".js").unwrap_or(&base);
        ["", ".ts", ".tsx", ".js", ".jsx", ".mjs", ".cjs", "/index.ts", "/index.js"].iter().find_map(|e| { let a = format!("{base}{e}"); let b = format!("{stem}{e}"); self.files.iter().position(|f| *f == a || *f == b) })
    }
}

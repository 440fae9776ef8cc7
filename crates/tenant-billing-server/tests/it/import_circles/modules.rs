//! What each module of a crate declares and imports, read from its tokens.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::tokens::{Token, product_tokens};

/// A path, such as `crate`, `state`, `State`.
pub(super) type Path = Vec<String>;

/// A path in the source.
#[derive(Clone)]
pub(super) struct Mention {
    pub(super) path: Path,
    pub(super) line: usize,
    /// The name under which a `pub use` shows it to others.
    pub(super) shown_as: Option<String>,
}

#[derive(Default)]
pub(super) struct Module {
    pub(super) file: String,
    /// The module that a name in a `use` stands for.
    pub(super) imports: HashMap<String, Path>,
    /// What `use …::*` looks through.
    pub(super) globs: Vec<Path>,
    pub(super) defined: HashSet<String>,
    pub(super) mentions: Vec<Mention>,
    /// The first words of all paths outside `use`.
    pub(super) words: HashSet<String>,
}

/// All modules from a crate's root on, by their paths.
pub(super) fn modules(files: &BTreeMap<String, String>, root: &str) -> BTreeMap<Path, Module> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![(vec!["crate".to_owned()], root.to_owned())];
    while let Some((path, file)) = waiting.pop() {
        let tokens = product_tokens(&files[&file]);
        let mut reader = Reader { tokens: &tokens, at: 0, file: &file, modules: &mut found };
        for child in reader.module(&path) {
            let file = file_of(files, &path, &file, &child);
            waiting.push((child, file));
        }
    }
    found
}

/// Where the module `child` is, which the file of the module `owner` declares.
fn file_of(files: &BTreeMap<String, String>, owner: &Path, file: &str, child: &Path) -> String {
    let (directory, name) = file.rsplit_once('/').unwrap_or(("", file));
    let mut base = if directory.is_empty() { String::new() } else { format!("{directory}/") };
    if !["lib.rs", "main.rs", "mod.rs"].contains(&name) {
        base += &format!("{}/", name.trim_end_matches(".rs"));
    }
    base += &child[owner.len()..].join("/");
    let candidates = [format!("{base}.rs"), format!("{base}/mod.rs")];
    let found = candidates.into_iter().find(|it| files.contains_key(it));
    found.unwrap_or_else(|| panic!("{file} declares {child:?}, of which there is no file"))
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    file: &'a str,
    modules: &'a mut BTreeMap<Path, Module>,
}

impl Reader<'_> {
    fn text(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |it| it.text.as_str())
    }

    /// Reads to the end of the module, and returns its children that are files of their own.
    fn module(&mut self, path: &Path) -> Vec<Path> {
        let mut module = Module { file: self.file.to_owned(), ..Module::default() };
        let (mut children, mut depth, mut is_public) = (Vec::new(), 0, false);
        while self.at < self.tokens.len() {
            match self.text(0) {
                "mod" if is_name(self.text(1)) => {
                    let child = child_of(path, self.text(1));
                    let is_inline = self.text(2) == "{";
                    self.at += 3;
                    if is_inline {
                        children.extend(self.module(&child));
                    } else {
                        children.push(child);
                    }
                    is_public = false;
                }
                // Not the `use<…>` of a type.
                "use" if self.text(1) != "<" => {
                    self.at += 1;
                    self.imports(&mut module, Vec::new(), is_public);
                    is_public = false;
                }
                "pub" => {
                    is_public = true;
                    self.at += 1;
                    if self.text(0) == "(" {
                        while self.text(0) != ")" {
                            self.at += 1;
                        }
                        self.at += 1;
                    }
                }
                "}" if depth == 0 => {
                    self.at += 1;
                    break;
                }
                word if is_name(word) => {
                    is_public = false;
                    self.word(&mut module);
                }
                sign => {
                    depth += i32::from(sign == "{") - i32::from(sign == "}");
                    self.at += 1;
                }
            }
        }
        self.modules.insert(path.clone(), module);
        children
    }

    /// A definition, or a path.
    fn word(&mut self, module: &mut Module) {
        const DEFINE: [&str; 8] =
            ["fn", "struct", "enum", "trait", "type", "const", "static", "union"];
        if DEFINE.contains(&self.text(0)) && is_name(self.text(1)) {
            module.defined.insert(self.text(1).to_owned());
            self.at += 2;
            return;
        }
        let before = self.at.checked_sub(1).map_or("", |it| self.tokens[it].text.as_str());
        let (line, is_first) = (self.tokens[self.at].line, ![".", "::"].contains(&before));
        let mut path = vec![self.text(0).to_owned()];
        while self.text(1) == "::" && is_name(self.text(2)) {
            path.push(self.text(2).to_owned());
            self.at += 2;
        }
        self.at += 1;
        if is_first {
            module.words.insert(path[0].clone());
            module.mentions.push(Mention { path, line, shown_as: None });
        }
    }

    /// One tree of a `use`, which begins with `before`, and the semicolon after it.
    fn imports(&mut self, module: &mut Module, before: Path, is_public: bool) {
        let mut path = before;
        let line = self.tokens[self.at].line;
        loop {
            match self.text(0) {
                "::" => self.at += 1,
                "{" => {
                    self.at += 1;
                    while self.text(0) != "}" {
                        self.imports(module, path.clone(), is_public);
                        if self.text(0) == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                "*" => {
                    self.at += 1;
                    if !is_public {
                        let all = child_of(&path, "*");
                        module.mentions.push(Mention { path: all, line, shown_as: None });
                    }
                    module.globs.push(path);
                    return;
                }
                "self" if !path.is_empty() => self.at += 1,
                "as" => {
                    let name = self.text(1).to_owned();
                    self.at += 2;
                    return import(module, path, name, line, is_public);
                }
                word if is_name(word) => {
                    path.push(word.to_owned());
                    self.at += 1;
                }
                _ => {
                    let name = path.last().cloned().unwrap_or_default();
                    return import(module, path, name, line, is_public);
                }
            }
        }
    }
}

fn import(module: &mut Module, path: Path, name: String, line: usize, is_public: bool) {
    let shown_as = is_public.then(|| name.clone());
    module.imports.insert(name, path.clone());
    module.mentions.push(Mention { path, line, shown_as });
}

/// What `name` in `path` is called from outside.
pub(super) fn child_of(path: &Path, name: &str) -> Path {
    [path.clone(), vec![name.to_owned()]].concat()
}

fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

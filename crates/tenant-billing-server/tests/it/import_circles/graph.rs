//! Which file imports which, and where they do so in a circle.

use std::collections::{BTreeMap, BTreeSet};

use super::modules::{Mention, Module, Path, child_of, modules};

/// Which of its files imports which, in words.
pub(super) type Circle = Vec<String>;

/// From a file, to a file: where.
type Edges = BTreeMap<(String, String), BTreeSet<(usize, String)>>;

/// All circles among the files of the crate whose root is `root`.
pub(super) fn circles(files: &BTreeMap<String, String>, root: &str) -> Vec<Circle> {
    let edges = edges(&modules(files, root));
    let reach = |from: &String| {
        let (mut seen, mut waiting) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(at) = waiting.pop() {
            let next = edges.keys().filter(|(from, _)| *from == at).map(|(_, to)| to.clone());
            waiting.extend(next.filter(|it| seen.insert(it.clone())));
        }
        seen
    };
    let reached: BTreeMap<_, _> = files.keys().map(|it| (it.clone(), reach(it))).collect();
    let mutual: BTreeSet<BTreeSet<_>> = (files.keys().filter(|it| reached[*it].contains(*it)))
        .map(|it| reached[it].iter().filter(|to| reached[*to].contains(it)).cloned().collect())
        .collect();
    let told = |circle: BTreeSet<String>| {
        let inside = |(from, to): &(String, String)| circle.contains(from) && circle.contains(to);
        edges.iter().filter(|(ends, _)| inside(ends)).map(tell).collect()
    };
    mutual.into_iter().map(told).collect()
}

/// An edge in words, with the first few of its places.
fn tell(((from, to), places): (&(String, String), &BTreeSet<(usize, String)>)) -> String {
    const SHOWN: usize = 4;
    let shown = places.iter().take(SHOWN).map(|(line, path)| format!("{path} (line {line})"));
    let shown = shown.collect::<Vec<_>>().join(", ");
    let more = match places.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{from} imports {to}: {shown}{more}")
}

fn edges(modules: &BTreeMap<Path, Module>) -> Edges {
    let mut edges = Edges::new();
    for (path, module) in modules {
        for mention in &module.mentions {
            // One word alone is a name that a `use` has brought in, if it is of another file at
            // all.
            if mention.path.len() == 1 || !is_used(module, mention) {
                continue;
            }
            let owner = owner_of(modules, path, &mention.path, 0);
            let Some(to) = owner.map(|it| &modules[&it].file) else { continue };
            let ends = (module.file.clone(), to.clone());
            // What was brought in is told once, there.
            let is_told =
                module.imports.contains_key(&mention.path[0]) && edges.contains_key(&ends);
            if *to != module.file && !is_told {
                let place = (mention.line, mention.path.join("::"));
                edges.entry(ends).or_default().insert(place);
            }
        }
    }
    edges
}

/// Showing a name to others is no use of it, unless this module uses it too.
fn is_used(module: &Module, mention: &Mention) -> bool {
    mention.shown_as.as_ref().is_none_or(|name| module.words.contains(name))
}

/// The module that defines what `path` means in the module `at`, if that is in this crate.
fn owner_of(
    modules: &BTreeMap<Path, Module>,
    at: &Path,
    path: &[String],
    depth: usize,
) -> Option<Path> {
    // One import may lead to another, and so on in a circle.
    let (first, rest) = path.split_first().filter(|_| depth < 8)?;
    let child = child_of(at, first);
    let module = &modules[at];
    match first.as_str() {
        "crate" => below(modules, &vec!["crate".to_owned()], rest, depth),
        "self" => below(modules, at, rest, depth),
        "super" => below(modules, &parent_of(at), rest, depth),
        _ if modules.contains_key(&child) => below(modules, &child, rest, depth),
        _ if module.imports.contains_key(first) => {
            let meant = [module.imports[first].clone(), rest.to_vec()].concat();
            owner_of(modules, at, &meant, depth + 1)
        }
        _ if module.defined.contains(first) => Some(at.clone()),
        _ => through_globs(modules, at, path, depth),
    }
}

/// The same, for a path that begins in the module `at` for certain.
fn below(
    modules: &BTreeMap<Path, Module>,
    at: &Path,
    path: &[String],
    depth: usize,
) -> Option<Path> {
    if path.is_empty() {
        return Some(at.clone());
    }
    owner_of(modules, at, path, depth).or_else(|| Some(at.clone()))
}

fn through_globs(
    modules: &BTreeMap<Path, Module>,
    at: &Path,
    path: &[String],
    depth: usize,
) -> Option<Path> {
    modules[at].globs.iter().find_map(|glob| {
        let from = owner_of(modules, at, glob, depth + 1)?;
        owner_of(modules, &from, path, depth + 1)
    })
}

fn parent_of(path: &Path) -> Path {
    path[..(path.len() - 1).max(1)].to_vec()
}

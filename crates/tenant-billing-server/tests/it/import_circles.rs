//! No two source files of a crate import each other, directly or by way of others, so that each can
//! be read, and tested, after those that it needs.
//!
//! A file imports another if it names something of that in a `use` or by a path. It does not by
//! declaring it (`mod child;`), nor by only showing its names to others (`pub use child::Name;`):
//! what is shown is imported from where it is defined. Items under `#[cfg(test)]` may import what
//! they like.
//!
//! This reads text, not types: a method that is called on a value imports nothing.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

mod graph;
mod modules;
mod tokens;

use graph::circles;

/// All source files below `directory`, by their paths from there.
fn sources(directory: &Path) -> BTreeMap<String, String> {
    let (mut found, mut waiting) = (BTreeMap::new(), vec![directory.to_owned()]);
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let name = path.strip_prefix(directory).unwrap().to_str().unwrap();
                found.insert(name.replace('\\', "/"), fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut faults = String::new();
    for entry in fs::read_dir(crates).unwrap() {
        let directory = entry.unwrap().path();
        let name = directory.file_name().unwrap().to_str().unwrap();
        let files = sources(&directory.join("src"));
        for root in ["lib.rs", "main.rs"].into_iter().filter(|it| files.contains_key(*it)) {
            for circle in circles(&files, root) {
                faults += &format!("\nin {name}/src:\n    {}\n", circle.join("\n    "));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "These files import each other in a circle. Move what both sides need into a file of its own \
         that imports neither, or hand it over as an argument.\n{faults}"
    );
}

/// The circles of a crate that consists of these files.
fn circles_of(files: &[(&str, &str)]) -> Vec<Vec<String>> {
    let owned = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    circles(&owned.collect(), "lib.rs")
}

#[track_caller]
fn check(files: &[(&str, &str)], expected: &[&[&str]]) {
    assert_eq!(circles_of(files), expected, "{files:?}");
}

#[test]
fn circles_that_are_found() {
    let both = "mod a; mod b;";
    // By `use` on both sides.
    check(
        &[
            ("lib.rs", both),
            ("a.rs", "use crate::b::B;\nstruct A(B);"),
            ("b.rs", "struct B;\n\nuse super::a::A;"),
        ],
        &[&["a.rs imports b.rs: crate::b::B (line 1)", "b.rs imports a.rs: super::a::A (line 3)"]],
    );
    // By a path in the code, and by one of a tree of names.
    check(
        &[
            ("lib.rs", both),
            ("a.rs", "fn a() { crate::b::b() }"),
            ("b.rs", "use crate::{a::{self, a as first}, b};"),
        ],
        &[&[
            "a.rs imports b.rs: crate::b::b (line 1)",
            "b.rs imports a.rs: crate::a (line 1), crate::a::a (line 1)",
        ]],
    );
    // A parent that uses its child, which uses its parent; through a macro, a module in the file, a
    // glob.
    let parents = [
        "mod child; use child::X; fn x() {}",
        "mod child; fn x() { println!(\"{}\", child::X) }",
        "mod child; mod inner { use super::child::X; } fn x() {}",
        "mod child; use child::*; fn x() {}",
        "mod child; pub use child::X; fn x() -> X {}",
        "#[derive(Clone)] mod child; #[cfg(not(test))] use child::X; fn x() {}",
    ];
    for parent in parents {
        let files =
            [("lib.rs", "mod p;"), ("p/mod.rs", parent), ("p/child.rs", "use super::x; struct X;")];
        assert_eq!(circles_of(&files).len(), 1, "{parent}");
    }
    // By way of a third, and of a name that a parent shows.
    check(
        &[
            ("lib.rs", "mod a; mod b; mod c; pub use c::C;"),
            ("a.rs", "use crate::b::B; struct A;"),
            ("b.rs", "use crate::C; struct B;"),
            ("c.rs", "use crate::a; struct C;"),
        ],
        &[&[
            "a.rs imports b.rs: crate::b::B (line 1)",
            "b.rs imports c.rs: crate::C (line 1)",
            "c.rs imports a.rs: crate::a (line 1)",
        ]],
    );
}

#[test]
fn what_is_no_circle() {
    let parents = [
        // Declared and shown only.
        "mod child; pub use child::X; pub(crate) use self::child::{X as Y}; fn x() {}",
        "mod child; pub use child::*; fn x() {}",
        // For tests only.
        "mod child; #[cfg(test)] mod tests { use super::child::X; } fn x() {}",
        "mod child; #[cfg(test)] #[allow(unused)] use child::{X}; fn x() {}",
        "mod child; #[cfg(test)] pub(crate) const fn y() -> X { child::X } fn x() {}",
        // Not code.
        "mod child; // child::X\nfn x() { \"child::X\"; r#\"child::X\"#; '\"'; '\\''; }",
        "mod child; /* /* */ child::X */ /// [`child::X`]\nfn x<'a>(_: &'a str) { b\"child::X\"; }",
        // Others' names.
        "mod child; use other::child::X; fn x() { value.child::<X>(); other::child::X }",
    ];
    for parent in parents {
        let child = "use super::x; use super::super::Y; struct X;";
        check(&[("lib.rs", "mod p; struct Y;"), ("p.rs", parent), ("p/child.rs", child)], &[]);
    }
    // A name that the parent shows is its neighbour's, not the parent's.
    check(
        &[
            ("lib.rs", "mod p;"),
            ("p.rs", "mod a; mod b; pub use b::B; use a::A;"),
            ("p/a.rs", "use super::B; struct A;"),
            ("p/b.rs", "struct B;"),
        ],
        &[],
    );
}

//! Which file of `src` uses which: from the paths that its code names, `use` declarations and
//! others, through re-exports to the file that defines the item. Tests do not count.

use crate::source::{Source, paths};
use std::collections::{BTreeMap, BTreeSet};

/// A module, as the names on the way to it; the root has none.
type Module = Vec<String>;

/// A path that the code of a file names.
struct Named {
    line: usize,
    path: Vec<String>,
    /// `pub use`, which hands an item on.
    exported: bool,
}

/// All files of `src`.
pub struct Graph {
    files: BTreeMap<Module, (String, Vec<Named>)>,
}

/// That one file uses what another defines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    pub from: String,
    pub line: usize,
    pub to: String,
    /// A module's file hands on what a child of its own defines.
    pub exported: bool,
}

impl Graph {
    /// Of files by their paths.
    pub fn new(sources: &[(String, Source)]) -> Graph {
        let files = sources.iter().filter_map(|(path, source)| {
            let module = module(path)?;
            let named = paths(source).into_iter().map(|(line, path, exported)| {
                let path = path.split("::").map(str::to_owned).collect();
                Named {
                    line,
                    path,
                    exported,
                }
            });
            Some((module, (path.clone(), named.collect())))
        });
        Graph {
            files: files.collect(),
        }
    }

    /// Top-level modules.
    pub fn modules(&self) -> BTreeSet<&str> {
        let tops = self.files.keys().filter_map(|module| module.first());
        tops.map(String::as_str).collect()
    }

    /// Every use of another file, once for each line.
    pub fn edges(&self) -> BTreeSet<Edge> {
        let mut edges = BTreeSet::new();
        for (module, (from, named)) in &self.files {
            for name in named {
                let Some(used) = self.absolute(module, &name.path) else {
                    continue;
                };
                let target = self.resolve(&used, 0);
                let Some((to, _)) = self.files.get(&target) else {
                    continue;
                };
                if to != from {
                    edges.insert(Edge {
                        from: from.clone(),
                        line: name.line,
                        to: to.clone(),
                        exported: name.exported && target.starts_with(module),
                    });
                }
            }
        }
        edges
    }

    /// The path from the root that `path` means in `module`, if it begins in this crate.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        let mut from = match first.as_str() {
            "crate" | "rtmp_server" => Vec::new(),
            "self" => module.to_vec(),
            "super" => module.split_last()?.1.to_vec(),
            _ => {
                let child = [module, &path[..1]].concat();
                self.files.contains_key(&child).then_some(child)?
            }
        };
        let mut rest = rest.iter().peekable();
        while rest.next_if(|name| *name == "super").is_some() {
            from.pop();
        }
        from.extend(rest.cloned());
        Some(from)
    }

    /// The module whose file defines what `path` means.
    fn resolve(&self, path: &[String], depth: usize) -> Module {
        let known = |len: &usize| self.files.contains_key(&path[..*len]);
        let len = (0..=path.len()).rev().find(known).unwrap_or_default();
        let module = &path[..len];
        let (Some(item), Some((_, named))) = (path.get(len), self.files.get(module)) else {
            return module.to_vec();
        };
        let hands_on = |name: &&Named| name.exported && name.path.last() == Some(item);
        let Some(exported) = named.iter().find(hands_on) else {
            return module.to_vec();
        };
        match self.absolute(module, &exported.path) {
            Some(next) if depth < 8 && next != path => self.resolve(&next, depth + 1),
            _ => module.to_vec(),
        }
    }
}

/// The module that a file is; `None` if it is none of the library.
fn module(path: &str) -> Option<Module> {
    let path = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let mut module: Module = path.split('/').map(str::to_owned).collect();
    match module.last().map(String::as_str) {
        Some("mod") => _ = module.pop(),
        Some("lib") if module.len() == 1 => module.clear(),
        _ => {}
    }
    Some(module)
}

/// The top-level module of a file.
pub fn top(path: &str) -> &str {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    path.split('/').next().unwrap_or(path)
}

/// What children use of the files of the modules that they are in: arrows back up.
pub fn back_up(edges: &BTreeSet<Edge>) -> Vec<String> {
    let back = edges.iter().filter(|edge| {
        let folder = edge.to.strip_suffix("mod.rs");
        folder.is_some_and(|folder| edge.from.starts_with(folder))
    });
    back.map(|edge| {
        format!(
            "{}:{}: arrows: uses its parent {}",
            edge.from, edge.line, edge.to
        )
    })
    .collect()
}

/// Files that use each other, on whatever way: each circle once, by the files that are in it.
pub fn circles(edges: &BTreeSet<Edge>) -> Vec<Vec<String>> {
    let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for edge in edges.iter().filter(|edge| !edge.exported) {
        next.entry(&edge.from).or_default().insert(&edge.to);
    }
    let reached = |from: &str| {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&str> = next.get(from).into_iter().flatten().copied().collect();
        while let Some(file) = open.pop() {
            if seen.insert(file) {
                open.extend(next.get(file).into_iter().flatten().copied());
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        next.keys().map(|file| (*file, reached(file))).collect();
    let mutual = |a: &str, b: &str| reached.get(a).is_some_and(|files| files.contains(b));
    let circle = |file: &str| -> Vec<String> {
        let files = next
            .keys()
            .filter(|other| mutual(file, other) && mutual(other, file));
        files.map(|file| (*file).to_owned()).collect()
    };
    let circles: BTreeSet<Vec<String>> = next.keys().map(|file| circle(file)).collect();
    circles
        .into_iter()
        .filter(|files| !files.is_empty())
        .collect()
}

/// The list of what may look at what, as the README has it: each line a module, or several, and
/// those below it.
pub fn allowed(readme: &str) -> Vec<(String, BTreeSet<String>)> {
    let (_, section) = readme
        .split_once("\n## What may look at what\n")
        .expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let lines = section.lines().filter_map(|line| line.strip_prefix("    "));
    let names = |list: &str| -> Vec<String> {
        let names = list.split(',').map(|name| name.trim().to_owned());
        names.filter(|name| name != "nothing").collect()
    };
    let rows = lines.filter_map(|line| line.split_once(" → "));
    rows.flat_map(|(users, used)| {
        let used: BTreeSet<String> = names(used).into_iter().collect();
        names(users)
            .into_iter()
            .map(move |user| (user, used.clone()))
    })
    .collect()
}

/// What differs between the list and the code, and what in the list points up.
pub fn layers(
    allowed: &[(String, BTreeSet<String>)],
    modules: &BTreeSet<&str>,
    edges: &BTreeSet<Edge>,
) -> Vec<String> {
    let mut faults = Vec::new();
    let place = |name: &str| allowed.iter().position(|(user, _)| user == name);
    for module in modules.iter().filter(|module| place(module).is_none()) {
        faults.push(format!("README.md: layers: {module} is not in the list"));
    }
    let mut used = BTreeSet::new();
    for edge in edges {
        let (from, to) = (top(&edge.from), top(&edge.to));
        if from == to || from == "lib" {
            continue;
        }
        used.insert((from, to));
        let may = place(from).is_some_and(|at| allowed[at].1.contains(to));
        if !may {
            let (file, line) = (&edge.from, edge.line);
            faults.push(format!(
                "{file}:{line}: layers: {from} → {to} is not in the README's list"
            ));
        }
    }
    for (at, (user, below)) in allowed.iter().enumerate() {
        for name in below {
            if !used.contains(&(user.as_str(), name.as_str())) {
                faults.push(format!(
                    "README.md: layers: {user} → {name} is not in the code"
                ));
            }
            if place(name).is_none_or(|place| place <= at) {
                faults.push(format!("README.md: layers: {user} → {name} points up"));
            }
        }
    }
    faults
}

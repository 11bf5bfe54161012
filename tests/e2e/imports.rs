//! The files of a crate import in one direction: no file uses another one that uses it in turn, directly or through
//! others. So each file can be read after the files that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;
use syn::visit::{self, Visit};
use syn::{Attribute, ItemMod, ItemUse, UseTree, Visibility};

use crate::tidy::{folders, root, sources};

type Module = Vec<String>;

#[test]
fn no_file_is_in_a_cycle_of_imports() {
    let mut cycles = Vec::new();
    for place in ["shared", "services"] {
        for name in folders(place) {
            let crate_root = root().join(place).join(&name).join("src");
            cycles.extend(cycles_in(&crate_root).map(|cycle| format!("{place}/{name}: {cycle}")));
        }
    }
    assert!(cycles.is_empty(), "{}", cycles.join("\n"));
}

fn cycles_in(crate_root: &Path) -> impl Iterator<Item = String> {
    let files = modules(crate_root);
    let numbers: BTreeMap<&Module, usize> = files.keys().zip(0..).collect();
    let mut graph = DiGraphMap::<usize, ()>::new();
    for (module, file) in &files {
        for used in imports(module, file, &files) {
            graph.add_edge(numbers[module], numbers[&used], ());
        }
    }
    let names: Vec<String> = files.keys().map(|module| module.join("::")).collect();
    let cycles = tarjan_scc(&graph).into_iter().filter(|it| it.len() > 1);
    cycles.map(move |cycle| {
        let cycle: Vec<&str> = cycle.iter().map(|number| &names[*number][..]).collect();
        cycle.join(" <-> ")
    })
}

/// The file of each module. The crate's own is the empty path.
fn modules(crate_root: &Path) -> BTreeMap<Module, PathBuf> {
    let module = |file: &Path| {
        let path = file.strip_prefix(crate_root).unwrap().with_extension("");
        let mut names: Module = path
            .iter()
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.pop_if(|last| matches!(&last[..], "mod" | "lib" | "main"));
        names
    };
    let files = sources(crate_root).into_iter();
    files.map(|file| (module(&file), file)).collect()
}

fn imports(module: &Module, file: &Path, files: &BTreeMap<Module, PathBuf>) -> BTreeSet<Module> {
    let text = std::fs::read_to_string(file).unwrap();
    let mut found = Paths::default();
    found.visit_file(&syn::parse_file(&text).unwrap());
    let resolve = |path: &Module| {
        let mut at = module.clone();
        let mut rest = &path[..];
        match rest.first().map(String::as_str) {
            Some("crate") => {
                at.clear();
                rest = &rest[1..];
            }
            Some("self") => rest = &rest[1..],
            _ => {}
        }
        while rest.first().is_some_and(|name| name == "super") {
            at.pop();
            rest = &rest[1..];
        }
        // The longest prefix that is a module; the rest is an item of it.
        let mut used = at.clone();
        for name in rest {
            at.push(name.clone());
            if files.contains_key(&at) {
                used.clone_from(&at);
            }
        }
        let is_item = used.len() < at.len();
        // A module may name the module that contains it, as the beginning of a path.
        let is_above = module.starts_with(&used) && !is_item;
        (files.contains_key(&used) && used != *module && !is_above).then_some(used)
    };
    found.paths.iter().filter_map(resolve).collect()
}

/// All paths in a file, except in tests and re-exports.
#[derive(Default)]
struct Paths {
    paths: BTreeSet<Module>,
}

impl Paths {
    fn take(&mut self, before: &Module, tree: &UseTree) {
        let with = |name: &dyn std::fmt::Display| {
            let mut path = before.clone();
            path.push(name.to_string());
            path
        };
        match tree {
            UseTree::Path(path) => self.take(&with(&path.ident), &path.tree),
            UseTree::Name(name) => {
                self.paths.insert(with(&name.ident));
            }
            UseTree::Rename(name) => {
                self.paths.insert(with(&name.ident));
            }
            UseTree::Glob(_) => {
                self.paths.insert(with(&"*"));
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.take(before, tree);
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !module.attrs.iter().any(is_test) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if matches!(item.vis, Visibility::Inherited) {
            self.take(&Module::new(), &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Module = path
            .segments
            .iter()
            .map(|it| it.ident.to_string())
            .collect();
        // A single name is an imported item or an item of the file.
        if names.len() > 1 {
            self.paths.insert(names);
        }
        visit::visit_path(self, path);
    }
}

fn is_test(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute
            .parse_args::<syn::Path>()
            .is_ok_and(|path| path.is_ident("test"))
}

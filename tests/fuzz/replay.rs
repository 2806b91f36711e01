//! The targets without a fuzzer: `replay list`, `replay files TARGET`, `replay seeds TARGET FOLDER` writes what
//! fuzzing begins with, and `replay run TARGET PATH…` runs files, or all files of folders.

#![allow(dead_code)] // each program uses its own part

#[path = "../support/readers/mod.rs"]
mod readers;
mod seeds;
mod targets;

mod support {
    pub(crate) use crate::readers;
}

use std::fs;
use std::path::{Path, PathBuf};
use targets::{TARGETS, Target};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["list"] => TARGETS.iter().for_each(|target| println!("{}", target.name)),
        ["files", name] => target(name).files.iter().for_each(|file| println!("{file}")),
        ["seeds", name, folder] => write(&seeds::of(target(name).seeds), Path::new(folder)),
        ["run", name, ref paths @ ..] => paths.iter().for_each(|path| run(target(name), Path::new(path))),
        _ => panic!("list | files TARGET | seeds TARGET FOLDER | run TARGET PATH..."),
    }
}

fn target(name: &str) -> &'static Target {
    let mut targets = TARGETS.iter();
    targets.find(|target| target.name == name).expect("a target")
}

fn write(seeds: &[Vec<u8>], folder: &Path) {
    fs::create_dir_all(folder).expect("a folder");
    for (number, seed) in seeds.iter().enumerate() {
        fs::write(folder.join(format!("seed{number:04}")), seed).expect("a seed");
    }
}

fn run(target: &Target, path: &Path) {
    let mut paths = vec![path.to_owned()];
    if path.is_dir() {
        let entries = fs::read_dir(path).expect("a folder");
        paths = entries.map(|entry| entry.expect("an entry").path()).collect::<Vec<PathBuf>>();
    }
    for path in paths {
        (target.run)(&fs::read(&path).expect("a file"));
    }
}

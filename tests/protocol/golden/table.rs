//! The table `testdata/vectors.txt` and the files beside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a vector is a test of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Decode,
    Encode,
    Accept,
    Reject,
    NeverSend,
    Relay,
}

/// One vector: its bytes and what they mean.
#[derive(Debug)]
pub struct Row {
    pub id: String,
    pub directions: Vec<Direction>,
    pub meaning: String,
    pub bytes: Vec<u8>,
}

impl Row {
    /// The letter that all vectors of one kind begin with.
    pub fn group(&self) -> char {
        self.id.chars().next().expect("an id")
    }

    /// The meaning in two halves: of the bytes, and of the layer above.
    pub fn halves(&self) -> (&str, Option<&str>) {
        match self.meaning.split_once("=>") {
            Some((bytes, above)) => (bytes.trim(), Some(above.trim())),
            None => (&self.meaning, None),
        }
    }

    /// The error that a vector is rejected with.
    pub fn error(&self) -> &str {
        self.meaning.strip_prefix("error: ").unwrap_or("no error")
    }
}

pub fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

/// Reads a file whose absence is a failure.
pub fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names without ending of all files in a folder of the test data with this ending.
pub fn names(folder: &str, ending: &str) -> Vec<String> {
    let folder = testdata().join(folder);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .filter_map(|name| name.strip_suffix(ending).map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// Every row, by id.
pub fn rows() -> BTreeMap<String, Row> {
    let path = testdata().join("vectors.txt");
    let text = String::from_utf8(read(&path)).expect("vectors.txt is UTF-8");
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut rows = BTreeMap::new();
    for line in lines {
        let row = row(line);
        let id = row.id.clone();
        assert!(
            rows.insert(id, row).is_none(),
            "two rows for one vector: {line}"
        );
    }
    rows
}

fn row(line: &str) -> Row {
    let mut fields = line.splitn(3, "  ");
    let mut field = || {
        fields
            .next()
            .unwrap_or_else(|| panic!("three fields: {line}"))
    };
    let (id, directions, meaning) = (field(), field(), field());
    Row {
        id: id.to_owned(),
        directions: directions.split(',').map(direction).collect(),
        meaning: meaning.to_owned(),
        bytes: read(&testdata().join(format!("vectors/{id}.bin"))),
    }
}

fn direction(word: &str) -> Direction {
    match word {
        "decode" => Direction::Decode,
        "encode" => Direction::Encode,
        "accept" => Direction::Accept,
        "reject" => Direction::Reject,
        "never-send" => Direction::NeverSend,
        "relay" => Direction::Relay,
        other => panic!("no direction: {other}"),
    }
}

//! The rule for gitleaks, by gitleaks itself: where it is installed, or `KEYGATE_GITLEAKS` names it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::corpus::{Corpus, scanner};

/// `None`, and a line that says so, where there is no gitleaks.
fn gitleaks() -> Option<OsString> {
    let program = std::env::var_os("KEYGATE_GITLEAKS").unwrap_or("gitleaks".into());
    // Older ones than 8.19 have no `dir`.
    let helped = Command::new(&program).args(["dir", "--help"]).output();
    if helped.is_ok_and(|helped| helped.status.success()) {
        return Some(program);
    }
    eprintln!("left out: gitleaks is not installed, or older than 8.19");
    None
}

/// What it finds in each file of the folder, in order.
fn found(program: &OsString, folder: &Path) -> BTreeMap<String, Vec<String>> {
    let place = TempDir::new().unwrap();
    let (config, report) = (
        place.path().join("rules.toml"),
        place.path().join("report.json"),
    );
    fs::write(&config, scanner().rules().gitleaks()).unwrap();
    let ran = Command::new(program)
        .args([
            "dir",
            "--no-banner",
            "--exit-code",
            "0",
            "--report-format",
            "json",
        ])
        .arg("--config")
        .arg(&config)
        .arg("--report-path")
        .arg(&report)
        .arg(folder)
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let report: serde_json::Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for finding in report.as_array().unwrap() {
        let text = |field: &str| finding[field].as_str().unwrap();
        let name = Path::new(text("File")).file_name().unwrap();
        let name = name.to_str().unwrap().to_owned();
        found
            .entry(name)
            .or_default()
            .push(text("Secret").to_owned());
    }
    found
}

#[test]
fn gitleaks_finds_every_key_of_the_corpus_once_and_nothing_else() {
    let Some(program) = gitleaks() else { return };
    let folder = TempDir::new().unwrap();
    let mut corpus = Corpus::new();
    let files = corpus.files(200);
    for file in &files {
        fs::write(folder.path().join(file.name), &file.text).unwrap();
    }
    let harmless = corpus.without_keys(4 << 20, |_| "live_0".to_owned());
    fs::write(folder.path().join("harmless.txt"), harmless).unwrap();
    let mut found = found(&program, folder.path());
    for mut file in files {
        let mut found = found.remove(file.name).unwrap_or_default();
        found.sort();
        file.keys.sort();
        assert_eq!(found, file.keys, "{}", file.name);
    }
    assert!(found.is_empty(), "{found:?}");
}

//! Finding keys in files and in standard input, in a thread that may wait for them.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use keygate::leak::Scanner;
use tokio::sync::mpsc::Sender;
use walkdir::WalkDir;
use zeroize::Zeroizing;

use super::window::{AT_ONCE, Located, Window};

const MIB: usize = 1024 * 1024;

/// What standard input is called, as an argument and in answers.
pub(super) const STDIN: &str = "-";

/// What was met on the way.
pub(super) enum Seen {
    Key {
        file: String,
        key: Located,
    },
    Unreadable {
        file: String,
        problem: String,
    },
    /// Another file is through.
    File,
    /// So many more MiB are.
    Mib(usize),
}

/// Nobody listens any more.
struct Gone;

pub(super) struct Reading {
    scanner: Scanner,
    /// Whether the texts of keys are wanted.
    with_text: bool,
    seen: Sender<Seen>,
    /// Bytes that are not told yet.
    untold: Cell<usize>,
}

impl Reading {
    pub(super) fn new(scanner: Scanner, with_text: bool, seen: Sender<Seen>) -> Self {
        Self {
            scanner,
            with_text,
            seen,
            untold: Cell::new(0),
        }
    }

    /// Scans all of them, one after the other.
    pub(super) fn run(self, paths: &[PathBuf]) {
        for path in paths {
            let went_on = match path.as_os_str() == STDIN {
                true => self.scan(STDIN, io::stdin().lock()),
                false => self.path(path),
            };
            if went_on.is_err() {
                return;
            }
        }
    }

    fn path(&self, path: &Path) -> Result<(), Gone> {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => self.directory(path),
            Ok(_) => self.file(path),
            Err(error) => self.unreadable(path, &error),
        }
    }

    /// Without what links in it lead to, and without pipes and devices, which need not end.
    fn directory(&self, path: &Path) -> Result<(), Gone> {
        for entry in WalkDir::new(path).sort_by_file_name() {
            match entry {
                Ok(entry) if entry.file_type().is_file() => self.file(entry.path())?,
                Ok(_) => {}
                Err(error) => {
                    let at = error.path().unwrap_or(path).to_owned();
                    self.unreadable(&at, &error.into())?;
                }
            }
        }
        Ok(())
    }

    fn file(&self, path: &Path) -> Result<(), Gone> {
        match File::open(path) {
            Ok(file) => self.scan(&shown(path), file),
            Err(error) => self.unreadable(path, &error),
        }
    }

    fn scan(&self, name: &str, mut reader: impl Read) -> Result<(), Gone> {
        let mut window = Window::new(&self.scanner, self.with_text);
        let mut piece = Zeroizing::new(vec![0; AT_ONCE]);
        loop {
            let len = match reader.read(&mut piece) {
                Ok(0) => return self.tell(Seen::File),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return self.unreadable(Path::new(name), &error),
            };
            for key in window.push(piece.get(..len).unwrap_or_default()) {
                let file = name.to_owned();
                self.tell(Seen::Key { file, key })?;
            }
            self.progress(len)?;
        }
    }

    fn progress(&self, len: usize) -> Result<(), Gone> {
        let untold = self.untold.get() + len;
        self.untold.set(untold % MIB);
        match untold / MIB {
            0 => Ok(()),
            mib => self.tell(Seen::Mib(mib)),
        }
    }

    fn unreadable(&self, path: &Path, error: &io::Error) -> Result<(), Gone> {
        self.tell(Seen::Unreadable {
            file: shown(path),
            problem: error.to_string(),
        })
    }

    fn tell(&self, seen: Seen) -> Result<(), Gone> {
        self.seen.blocking_send(seen).map_err(|_| Gone)
    }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

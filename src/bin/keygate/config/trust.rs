//! Whether a file of settings that nobody has named may be read.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::{getegid, geteuid};

use crate::failure::Failure;

/// Refuses a file that somebody else could have put there, as into a directory that all may write: it says
/// which store and which pepper are used. By naming it, whoever runs the program answers for it.
pub(super) fn check(path: &Path, file: &File) -> Result<(), Failure> {
    let about = file
        .metadata()
        .and_then(|about| Ok((about, fs::symlink_metadata(path)?)));
    let (file, link) = about.map_err(|error| Failure::unreadable(path, error))?;
    let Some(flaw) = flaw(&file).or_else(|| flaw_of_owner(&link)) else {
        return Ok(());
    };
    let shown = path.display();
    Err(Failure::usage(format!(
        "{shown} in this directory {flaw}, and is not read unasked: it could name another store. If it is \
         yours, mend that, or name it: --config {shown}"
    )))
}

fn flaw(file: &Metadata) -> Option<String> {
    let others_write = file.mode() & 0o002 != 0;
    let group_writes = file.mode() & 0o020 != 0 && file.gid() != getegid().as_raw();
    match (others_write, group_writes) {
        (true, _) => Some("can be written by everybody (chmod o-w)".into()),
        (_, true) => Some("can be written by another group than yours (chmod g-w)".into()),
        _ => flaw_of_owner(file),
    }
}

/// The owner of a link may be somebody else than that of the file.
fn flaw_of_owner(file: &Metadata) -> Option<String> {
    let owner = file.uid();
    let is_trusted = owner == 0 || owner == geteuid().as_raw();
    (!is_trusted).then(|| format!("belongs to somebody else (user {owner})"))
}

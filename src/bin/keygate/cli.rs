//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};

use crate::commands::{audit, change, completions, import, init, issue, leak, list, man, pause};
use crate::commands::{pepper, report, revoke, rotate, rules, scan, scopes, show, verify};
use crate::manual;

/// Issues, finds, reads, rotates and ends API keys, over the store that a service keeps them in.
///
/// Settings come from flags, then from the environment, then from a file: the one that --config names, or
/// keygate.toml in the current directory. Peppers are read from the file that --pepper-file names, or
/// from the variable KEYGATE_PEPPER, and are no arguments, which others on the machine could see.
#[derive(Parser)]
#[command(name = "keygate", version, after_long_help = manual::help())]
#[command(
    arg_required_else_help = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) asked: Asked,
}

/// What holds for every command.
#[derive(Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct Options {
    /// The file with settings [default: keygate.toml, where there is one].
    #[arg(long, global = true, value_name = "FILE", env = "KEYGATE_CONFIG")]
    #[arg(hide_env_values = true, value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// Where the keys are: a SQLite file, or a URL that begins with postgres:// or redis://. A URL with a
    /// password belongs in the environment or the file.
    #[arg(
        long,
        global = true,
        value_name = "STORE",
        env = "KEYGATE_STORE",
        hide_env_values = true
    )]
    pub(crate) store: Option<String>,
    /// The prefix of the keys, such as acme_live.
    #[arg(
        long,
        global = true,
        value_name = "PREFIX",
        env = "KEYGATE_PREFIX",
        hide_env_values = true
    )]
    pub(crate) prefix: Option<String>,
    /// The file with the peppers [env: KEYGATE_PEPPER_FILE; the peppers themselves: KEYGATE_PEPPER].
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) pepper_file: Option<PathBuf>,
    /// Who you are, for the audit log [default: the name you have logged in with].
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "KEYGATE_USER",
        hide_env_values = true
    )]
    pub(crate) user: Option<String>,
    /// Answer with one JSON document instead of text for people.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum Asked {
    #[command(flatten)]
    Command(Box<Command>),
    /// Print completions for a shell.
    Completions(completions::Completions),
    /// Print the manual page, or write those of all commands.
    Man(man::Man),
}

/// What needs the settings, by what an operator needs first.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Set a store up: its tables, a pepper, and a file with these settings.
    Init(init::Init),
    /// Make a key, and show its text: the only time.
    Issue(issue::Issue),
    /// List keys, or find some.
    List(list::List),
    /// Show all of a key, and how it is used.
    Show(show::Show),
    /// Say whether a key opens, and whose it is. It leaves no trace.
    ///
    /// The key is read from standard input, and from a terminal without showing it. How often it was used
    /// lately is not known here: no rate limit refuses it.
    Verify(verify::Verify),
    /// Give a key a new secret, and show its text: the only time.
    Rotate(rotate::Rotate),
    /// End keys for good.
    Revoke(revoke::Revoke),
    /// Pause keys: they open nothing until they are enabled.
    Disable(pause::Disable),
    /// End the pause of keys.
    Enable(pause::Enable),
    /// End the key whose text was seen where others can read it; the text comes on standard input.
    Leak(leak::Leak),
    /// Show what a key may do and what of it was needed, or change it.
    Scopes(scopes::Scopes),
    /// Change the name, the end, the networks, the rate limit or the metadata of a key.
    Change(change::ChangeKey),
    /// Find keys that want something done about them, and the peppers that they need.
    Report(report::Report),
    /// Show what was done to keys and with them: who, when and from where.
    ///
    /// The newest stands last.
    Audit(audit::Audit),
    /// Find keys where none should be: in files, directories and standard input.
    Scan(scan::Scan),
    /// Print rules by which the scanners of others find the keys.
    Rules(rules::Rules),
    /// Make a pepper, or note the end of one.
    Pepper(pepper::Peppers),
    /// Take over keys of another system, with the texts that their bearers have.
    Import(import::Import),
}

//! What the program tells of itself: help, manual pages and completions.

use std::path::Path;
use std::process::Command;

use crate::servers::program;
use crate::support::{Ran, World, snapshot};

#[test]
fn the_help_says_what_there_is() {
    let world = World::empty();
    snapshot!("help", world.run(["--help"]).done().shown());
    snapshot!("help_short", world.run(["-h"]).done().shown());
}

/// Also of commands that come later.
#[test]
fn each_command_has_its_help() {
    let world = World::empty();
    let shown = commands(&world).into_iter().map(|command| {
        let ran = world.run(command.split(' ').chain(["--help"])).done();
        without_settings(&ran.shown())
    });
    let shown: Vec<String> = shown.collect();
    snapshot!("help_of_commands", shown.join("\n"));
}

#[test]
fn a_broken_file_of_settings_stops_neither_help_nor_manual_nor_completions() {
    let world = World::empty();
    world.write("keygate.toml", "stroe = 1");
    world.run(["list"]).failed(2);
    for arguments in [&["--help"] as &[&str], &["man"], &["completions", "fish"]] {
        assert!(
            world.run(arguments).done().out.contains("keygate"),
            "{arguments:?}"
        );
    }
}

#[test]
fn the_settings_that_the_help_shows_are_all_that_there_are() {
    let world = World::new();
    let shown = section(&world.run(["--help"]).done(), "Settings file");
    world.write("keygate.toml", &shown);
    world.run(["list"]).done();

    let tables = shown.lines().filter(|line| line.starts_with('['));
    let declared = ["[scopes]", "[bundles]"];
    let tables = tables.filter_map(|line| line.split(' ').next());
    for table in tables.filter(|table| !declared.contains(table)).chain([""]) {
        world.write("keygate.toml", &format!("{table}\nunknown_setting = 1\n"));
        let problem = world.run(["list"]).failed(2).err;
        let (_, known) = problem.split_once("expected one of ").expect(&problem);
        for setting in known.split('`').skip(1).step_by(2) {
            let lines = [format!("{setting} = "), format!("# {setting} = ")];
            let is_line = |line: &str| lines.iter().any(|start| line.starts_with(start.as_str()));
            let is_table = shown.contains(&format!("[{setting}"));
            assert!(
                is_table || shown.lines().any(is_line),
                "{table} {setting} is not in the help"
            );
        }
    }
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let Some(bash) = program("bash", &[]) else {
        return;
    };
    let world = World::empty();
    let script = world.run(["completions", "bash"]).done().out;
    world.write("completions", &script);
    for (words, completed) in [
        ("keygate rev", "revoke"),
        ("keygate issue --own", "--owner"),
        ("keygate completions power", "powershell"),
    ] {
        let script = format!(
            "source ./completions; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
            _keygate keygate \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo \"${{COMPREPLY[@]}}\""
        );
        let mut command = Command::new(&bash);
        command.args(["-euc", &script]).current_dir(world.path(""));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            (String::from_utf8_lossy(&output.stdout).trim(), &*said),
            (completed, "")
        );
    }
}

#[test]
fn each_shell_is_told_of_every_command() {
    let world = World::empty();
    let commands = commands(&world);
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = world.run(["completions", shell]).done().out;
        for command in &commands {
            let name = command.split(' ').next_back().unwrap();
            assert!(script.contains(name), "{shell} {command}");
        }
    }
}

#[test]
fn the_manual_has_a_page_for_each_command_without_a_flaw() {
    let world = World::empty();
    let written = world.run(["man", "--out", "pages", "--json"]).json();
    let mut pages: Vec<&str> = written["pages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|page| page.as_str().unwrap())
        .collect();
    let names = commands(&world)
        .into_iter()
        .map(|command| format!("pages/keygate-{}.1", command.replace(' ', "-")));
    let mut expected: Vec<String> = names.chain(["pages/keygate.1".into()]).collect();
    expected.sort();
    pages.sort_unstable();
    assert_eq!(pages, expected);
    assert_eq!(world.read("pages/keygate.1"), world.run(["man"]).done().out);

    let Some(groff) = program("groff", &[]) else {
        return;
    };
    for page in pages {
        assert_eq!(flaws(&groff, &world.path(page)), "", "{page}");
    }
}

#[test]
fn the_manual_tells_what_the_help_tells() {
    let world = World::empty();
    snapshot!("man", world.run(["man"]).done().shown());
}

/// What groff finds wrong with a page.
fn flaws(groff: &Path, page: &Path) -> String {
    let mut command = Command::new(groff);
    command.args(["-man", "-ww", "-Tutf8", "-z"]).arg(page);
    String::from_utf8(command.output().unwrap().stderr).unwrap()
}

/// Every command, and those within it: `pepper`, `pepper new`.
fn commands(world: &World) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut open = vec![String::new()];
    while let Some(outer) = open.pop() {
        let words = outer.split(' ').filter(|word| !word.is_empty());
        let help = world.run(words.chain(["--help"])).done().out;
        let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        // A line that goes on from the one above stands further in.
        let names = lines
            .take_while(|line| !line.is_empty())
            .filter_map(|line| {
                let line = line.strip_prefix("  ")?;
                line.split(' ').next().filter(|name| !name.is_empty())
            });
        let names = names.map(|name| format!("{outer} {name}").trim().to_owned());
        let names: Vec<String> = names.collect();
        found.extend(names.iter().cloned());
        open.extend(names);
    }
    assert!(!found.is_empty());
    found.sort();
    found
}

/// What stands under a heading of a help, without its indentation.
fn section(help: &Ran, title: &str) -> String {
    let lines = help
        .out
        .lines()
        .skip_while(|line| *line != format!("{title}:"))
        .skip(1);
    let lines = lines.take_while(|line| line.is_empty() || line.starts_with("  "));
    let lines: Vec<&str> = lines
        .map(|line| line.strip_prefix("  ").unwrap_or(line))
        .collect();
    assert!(!lines.is_empty(), "{title}");
    lines.join("\n")
}

/// `shown` without the part that is the same for every command.
fn without_settings(shown: &str) -> String {
    let (before, settings) = shown
        .split_once("\nSettings:\n")
        .expect("a help without settings");
    let lines = settings
        .lines()
        .skip_while(|line| line.is_empty() || line.starts_with(' '));
    let rest: Vec<&str> = lines.collect();
    format!("{before}\n{}", rest.join("\n"))
}

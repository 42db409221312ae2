//! Manual pages, as `man` reads them.

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{Body, SECTIONS, Section};

pub(crate) struct Page {
    /// Such as `keygate-issue.1`.
    pub(crate) file_name: String,
    pub(crate) text: String,
}

/// The page of the program, and behind it one for each of its commands.
pub(crate) fn pages(mut program: Command) -> io::Result<Vec<Page>> {
    program.build();
    let mut pages = vec![page(&program, &SECTIONS)?];
    add_commands(&program, &mut pages)?;
    Ok(pages)
}

fn add_commands(command: &Command, pages: &mut Vec<Page>) -> io::Result<()> {
    for inner in command.get_subcommands() {
        pages.push(page(inner, &[])?);
        add_commands(inner, pages)?;
    }
    Ok(())
}

/// The page of one command; without sections of its own it points to the one that has them.
fn page(command: &Command, sections: &[Section]) -> io::Result<Page> {
    let man = Man::new(command.clone()).source(concat!("keygate ", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if let Some(more) = command.get_after_help() {
        let mut description = Roff::new();
        add_paragraphs(&mut description, &more.to_string());
        description.to_writer(&mut text)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    man.render_options_section(&mut text)?;
    let mut more = Roff::new();
    for section in sections {
        add_section(&mut more, section);
    }
    if sections.is_empty() {
        more.control("SH", ["SEE ALSO"]);
        more.text([
            bold("keygate"),
            roman("(1) has the settings and exit codes of all commands"),
        ]);
    }
    more.to_writer(&mut text)?;
    Ok(Page {
        file_name: man.get_filename(),
        text: String::from_utf8(text).map_err(io::Error::other)?,
    })
}

fn add_section(page: &mut Roff, section: &Section) {
    page.control("SH", [section.title.to_uppercase().as_str()]);
    match section.body {
        Body::Terms(terms) => {
            page.control("PD", ["0"]);
            for (term, what) in terms {
                page.control("TP", []);
                page.text([bold(*term)]);
                page.text([roman(*what)]);
            }
            page.control("PD", []);
        }
        Body::Lines(lines) => {
            page.control("nf", []);
            for line in lines.lines() {
                page.text([roman(line)]);
            }
            page.control("fi", []);
        }
    }
}

/// Text as the help has it: what is indented keeps its lines.
fn add_paragraphs(page: &mut Roff, text: &str) {
    page.control("PP", []);
    let mut is_filled = true;
    for line in text.lines() {
        if line.is_empty() {
            page.control("PP", []);
            continue;
        }
        if line.starts_with(' ') == is_filled {
            is_filled = !is_filled;
            page.control(if is_filled { "fi" } else { "nf" }, []);
        }
        page.text([roman(line)]);
    }
    if !is_filled {
        page.control("fi", []);
    }
}

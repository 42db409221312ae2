//! Text of others, such as owners and reasons, made harmless for terminals.

use std::fmt::Write as _;

/// `text` without what moves the cursor, colours, or reorders what is read: whoever can write a row of the
/// database by hand is not to write on the terminal of an operator.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match is_harmless(c) {
            true => shown.push(c),
            false => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
            }
        }
    }
    shown
}

/// The same, line by line: what was put together here keeps its line ends.
pub(crate) fn plain_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(plain).collect();
    lines.join("\n")
}

/// `1 file`, `2 files`.
pub(crate) fn counted(n: u64, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        _ => format!("{n} {what}s"),
    }
}

fn is_harmless(c: char) -> bool {
    let reorders = matches!(c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !c.is_control() && !reorders
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn what_a_terminal_would_act_on_is_written_out() {
        assert_eq!(plain("Zoë & 会社 <ops>"), "Zoë & 会社 <ops>");
        assert_eq!(
            plain("a\u{1b}[2Jb\nc\u{202e}d\u{9b}"),
            "a\\u{1b}[2Jb\\u{a}c\\u{202e}d\\u{9b}"
        );
    }
}

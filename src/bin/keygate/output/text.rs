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

/// JSON that says the same, without what a terminal would act on: that stands in texts alone, where JSON
/// can write it out.
pub(super) fn escaped(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        match c == '\n' || is_harmless(c) {
            true => shown.push(c),
            false => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(shown, "\\u{unit:04x}");
                }
            }
        }
    }
    shown
}

/// `1 file`, `2 files`.
pub(crate) fn counted(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        _ => format!("{n} {what}s"),
    }
}

fn is_harmless(c: char) -> bool {
    let reorders_or_hides = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !c.is_control() && !reorders_or_hides
}

#[cfg(test)]
mod tests {
    use super::{escaped, plain};

    #[test]
    fn what_a_terminal_would_act_on_is_written_out() {
        assert_eq!(plain("Zoë & 会社 <ops>"), "Zoë & 会社 <ops>");
        assert_eq!(
            plain("a\u{1b}[2Jb\nc\u{202e}d\u{9b}"),
            "a\\u{1b}[2Jb\\u{a}c\\u{202e}d\\u{9b}"
        );
    }

    #[test]
    fn json_keeps_its_meaning_and_moves_no_cursor() {
        let text = "Zoë\u{1b}[2J\n\u{9b}31m\u{202e}\u{7f}\u{e0041}\"";
        let json = serde_json::to_string_pretty(&[text]).unwrap();
        let shown = escaped(&json);
        assert!(
            shown.chars().all(|c| c == '\n' || super::is_harmless(c)),
            "{shown:?}"
        );
        assert!(shown.contains("Zoë"), "{shown:?}");
        let read: Vec<String> = serde_json::from_str(&shown).unwrap();
        assert_eq!(read, [text]);
    }
}

use super::document::{Block, Document, Span, Text};

/// The document as Markdown. Anchors are written out, since those that renderers make of headings
/// differ.
pub(super) fn write(document: &Document) -> String {
    let mut markdown = format!("# {}\n\n", escaped(&document.title));
    for (anchor, text) in document.sections() {
        markdown += &format!("- [{}](#{anchor})\n", inline(text));
    }
    for block in &document.blocks {
        markdown.push('\n');
        markdown += &of_block(block);
    }
    markdown
}

fn of_block(block: &Block) -> String {
    match block {
        Block::Heading {
            level,
            anchor,
            text,
        } => {
            let marks = "#".repeat(usize::from(*level));
            format!("<a id=\"{anchor}\"></a>\n\n{marks} {}\n", inline(text))
        }
        Block::Paragraph(text) => inline(text) + "\n",
        Block::Steps(items) => {
            let numbered = items.iter().enumerate();
            numbered
                .map(|(n, item)| format!("{}. {}\n", n + 1, inline(item)))
                .collect()
        }
        Block::List(items) => items
            .iter()
            .map(|item| format!("- {}\n", inline(item)))
            .collect(),
        Block::Table { head, rows } => {
            let line = "|---".repeat(head.len()) + "|\n";
            let rows: String = rows.iter().map(|cells| row(cells)).collect();
            row(head) + &line + &rows
        }
        Block::Code { language, text } => {
            let fence = "`".repeat(longest_run(text).max(2) + 1);
            format!("{fence}{language}\n{text}\n{fence}\n")
        }
    }
}

/// A pipe ends a cell wherever it stands, also in code.
fn row(cells: &[Text]) -> String {
    let cell = |text| format!("| {} ", inline_in_table(text));
    cells.iter().map(cell).collect::<String>() + "|\n"
}

fn inline(text: &Text) -> String {
    text.0.iter().map(of_span).collect()
}

fn inline_in_table(text: &Text) -> String {
    let in_table = |span: &Span| match span {
        // Elsewhere than in code it is escaped already.
        Span::Code(_) => of_span(span).replace('|', "\\|"),
        _ => of_span(span),
    };
    text.0.iter().map(in_table).collect()
}

fn of_span(span: &Span) -> String {
    match span {
        Span::Plain(text) => escaped(text),
        Span::Code(text) => code(text),
        Span::Link { to, text } => {
            // An entity in it would be read as the character that it stands for.
            format!("[{}](<{}>)", escaped(text), to.replace('&', "&amp;"))
        }
    }
}

/// Nothing is escaped within code: its marks are longer than any run of them in it.
fn code(text: &str) -> String {
    let marks = "`".repeat(longest_run(text) + 1);
    let touches = text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']);
    let space = if touches { " " } else { "" };
    format!("{marks}{space}{text}{space}{marks}")
}

fn longest_run(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or(0)
}

/// Text without a meaning to Markdown.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\`*_[]<>&|~#$!".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_said_stays_text() {
        let hostile = "<script>|`*_x_*\n# [a](b) &lt;";
        let safe = r"\<script\>\|\`\*\_x\_\* \# \[a\](b) \&lt;";
        let mut document = Document::new(hostile.into());
        document.table(["x"], [[Text::plain(hostile)]]);
        document.list(vec![Text::link("#x", hostile)]);
        let markdown = write(&document);
        assert!(markdown.starts_with(&format!("# {safe}\n")));
        assert!(markdown.contains(&format!("| {safe} |\n")));
        assert!(markdown.contains(&format!("- [{safe}](<#x>)\n")));
    }

    #[test]
    fn a_link_leads_where_it_says() {
        let link = Text::link("https://a.example/?b&lt;=1", "x");
        assert_eq!(inline(&link), "[x](<https://a.example/?b&amp;lt;=1>)");
    }

    #[test]
    fn code_is_marked_by_more_backticks_than_it_holds() {
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("``a"), "``` ``a ```");
        let mut document = Document::new(String::new());
        document.code("text", "```\nx\n````");
        assert!(write(&document).contains("\n`````text\n```\nx\n````\n`````\n"));
    }

    #[test]
    fn a_pipe_in_code_ends_no_cell() {
        let cells = [Text::code("a|b"), Text::plain("c|d")];
        assert_eq!(row(&cells), "| `a\\|b` | c\\|d |\n");
        assert_eq!(inline(&cells[0]), "`a|b`");
    }
}

use std::fmt::Write as _;

use super::document::{Block, Document, Span, Text};

const STYLE: &str = "\
:root { color-scheme: light dark; }
body { margin: 0 auto; max-width: 48rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; }
h2 { margin-top: 2.5rem; }
h3 { margin-top: 2rem; }
code { font-size: 0.9em; overflow-wrap: anywhere; }
pre { border: 1px solid; border-radius: 4px; padding: 0.75rem; white-space: pre-wrap; }
table { border-collapse: collapse; width: 100%; }
th, td { border: 1px solid; padding: 0.4rem 0.6rem; text-align: left; vertical-align: top; }
";

/// The document as a complete page, without scripts.
pub(super) fn write(document: &Document) -> String {
    let title = escaped(&document.title);
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>{title}</h1>\n</header>\n"
    );
    html += "<nav aria-label=\"Contents\">\n<ul>\n";
    for (anchor, text) in document.sections() {
        let _ = writeln!(html, "<li><a href=\"#{anchor}\">{}</a></li>", inline(text));
    }
    html += "</ul>\n</nav>\n<main>\n";
    for block in &document.blocks {
        html += &of_block(block);
    }
    html + "</main>\n</body>\n</html>\n"
}

fn of_block(block: &Block) -> String {
    match block {
        Block::Heading {
            level,
            anchor,
            text,
        } => format!("<h{level} id=\"{anchor}\">{}</h{level}>\n", inline(text)),
        Block::Paragraph(text) => format!("<p>{}</p>\n", inline(text)),
        Block::Steps(items) => format!("<ol>\n{}</ol>\n", each("li", items)),
        Block::List(items) => format!("<ul>\n{}</ul>\n", each("li", items)),
        Block::Table { head, rows } => {
            let rows: String = rows
                .iter()
                .map(|cells| format!("<tr>\n{}</tr>\n", each("td", cells)))
                .collect();
            format!(
                "<table>\n<thead>\n<tr>\n{}</tr>\n</thead>\n<tbody>\n{rows}</tbody>\n</table>\n",
                each("th scope=\"col\"", head)
            )
        }
        Block::Code { text, .. } => format!("<pre><code>{}</code></pre>\n", escaped(text)),
    }
}

fn each(tag: &str, texts: &[Text]) -> String {
    let name = tag.split(' ').next().unwrap_or(tag);
    let one = |text| format!("<{tag}>{}</{name}>\n", inline(text));
    texts.iter().map(one).collect()
}

fn inline(text: &Text) -> String {
    let spans = text.0.iter().map(|span| match span {
        Span::Plain(text) => escaped(text),
        Span::Code(text) => format!("<code>{}</code>", escaped(text)),
        Span::Link { to, text } => format!("<a href=\"{}\">{}</a>", escaped(to), escaped(text)),
    });
    spans.collect()
}

/// Text that is neither a tag nor the end of an attribute.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_said_stays_text() {
        let hostile = "<script>\"'&amp;\n</title>";
        let safe = "&lt;script&gt;&quot;&#39;&amp;amp; &lt;/title&gt;";
        let mut document = Document::new(hostile.into());
        document.table(["x"], [[Text::plain(hostile)]]);
        document.list(vec![Text::code(hostile), Text::link("#x\"", hostile)]);
        document.code("text", hostile);
        let html = write(&document);
        assert!(html.contains(&format!("<title>{safe}</title>")));
        assert!(html.contains(&format!("<td>{safe}</td>")));
        assert!(html.contains(&format!("<code>{safe}</code>")));
        assert!(html.contains(&format!("<a href=\"#x&quot;\">{safe}</a>")));
        assert!(html.contains("&amp;amp;\n&lt;/title&gt;</code></pre>"));
        assert!(!html.contains("<script"));
    }
}

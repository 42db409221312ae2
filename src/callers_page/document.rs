//! What the page says, before it is HTML or Markdown.

/// A page.
pub(super) struct Document {
    pub(super) title: String,
    pub(super) blocks: Vec<Block>,
}

/// What stands below one another.
pub(super) enum Block {
    /// `level` is 2 or 3: the title is the only heading above them.
    Heading {
        level: u8,
        anchor: &'static str,
        text: Text,
    },
    Paragraph(Text),
    /// In this order.
    Steps(Vec<Text>),
    List(Vec<Text>),
    Table {
        head: Vec<Text>,
        rows: Vec<Vec<Text>>,
    },
    Code {
        language: &'static str,
        text: String,
    },
}

/// What stands beside one another, on one line.
#[derive(Clone, Default)]
pub(super) struct Text(pub(super) Vec<Span>);

/// A piece of text.
#[derive(Clone)]
pub(super) enum Span {
    Plain(String),
    Code(String),
    /// `to` holds only what may stand in a URI.
    Link {
        to: String,
        text: String,
    },
}

impl Document {
    pub(super) fn new(title: String) -> Self {
        Self {
            title: one_line(&title),
            blocks: Vec::new(),
        }
    }

    pub(super) fn section(&mut self, anchor: &'static str, title: &'static str) {
        self.heading(2, anchor, Text::from(title));
    }

    pub(super) fn heading(&mut self, level: u8, anchor: &'static str, text: Text) {
        self.blocks.push(Block::Heading {
            level,
            anchor,
            text,
        });
    }

    pub(super) fn say(&mut self, text: impl Into<Text>) {
        self.blocks.push(Block::Paragraph(text.into()));
    }

    pub(super) fn code(&mut self, language: &'static str, text: impl Into<String>) {
        let text = text.into();
        self.blocks.push(Block::Code { language, text });
    }

    pub(super) fn list(&mut self, items: Vec<Text>) {
        self.blocks.push(Block::List(items));
    }

    pub(super) fn steps(&mut self, steps: Vec<Text>) {
        self.blocks.push(Block::Steps(steps));
    }

    pub(super) fn table<const N: usize>(
        &mut self,
        head: [&'static str; N],
        rows: impl IntoIterator<Item = [Text; N]>,
    ) {
        self.blocks.push(Block::Table {
            head: head.into_iter().map(Text::from).collect(),
            rows: rows.into_iter().map(Vec::from).collect(),
        });
    }

    /// The sections, for a list of contents.
    pub(super) fn sections(&self) -> impl Iterator<Item = (&'static str, &Text)> {
        self.blocks.iter().filter_map(|block| match block {
            Block::Heading {
                level: 2,
                anchor,
                text,
            } => Some((*anchor, text)),
            _ => None,
        })
    }
}

/// Prose of ours, in which code stands between backticks.
impl From<&'static str> for Text {
    fn from(prose: &'static str) -> Self {
        let pieces = prose.split('`').enumerate();
        let span = |(n, piece): (usize, &str)| match n % 2 {
            0 => Span::Plain(piece.to_owned()),
            _ => Span::Code(piece.to_owned()),
        };
        let is_empty = |span: &Span| matches!(span, Span::Plain(text) if text.is_empty());
        Self(pieces.map(span).filter(|span| !is_empty(span)).collect())
    }
}

impl Text {
    /// Text that nobody here has written, as it is.
    pub(super) fn plain(text: impl AsRef<str>) -> Self {
        Self::default().and_plain(text)
    }

    pub(super) fn code(text: impl AsRef<str>) -> Self {
        Self::default().and_code(text)
    }

    pub(super) fn link(to: impl Into<String>, text: impl AsRef<str>) -> Self {
        Self(vec![Span::Link {
            to: to.into(),
            text: one_line(text.as_ref()),
        }])
    }

    /// These as code, with commas.
    pub(super) fn codes<I>(texts: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut all = Self::default();
        for text in texts {
            let comma = if all.0.is_empty() { "" } else { ", " };
            all = all.and(comma).and_code(text);
        }
        all
    }

    pub(super) fn and(mut self, text: impl Into<Text>) -> Self {
        self.0.extend(text.into().0);
        self
    }

    pub(super) fn and_plain(mut self, text: impl AsRef<str>) -> Self {
        self.0.push(Span::Plain(one_line(text.as_ref())));
        self
    }

    pub(super) fn and_code(mut self, text: impl AsRef<str>) -> Self {
        self.0.push(Span::Code(one_line(text.as_ref())));
        self
    }
}

/// Without line breaks and other control characters: they end tables, headings and comments.
pub(super) fn one_line(text: &str) -> String {
    let parts = text.split(|c: char| c.is_whitespace() || c.is_control());
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

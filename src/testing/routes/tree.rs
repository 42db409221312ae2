//! Reads what the derived kind of `Debug` writes, as a tree.

use std::iter::Peekable;
use std::str::Chars;

/// A value in a `Debug` text.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Tree {
    /// `"text"`, also with a letter before it.
    Text(String),
    /// `Name`, a number, `Name(a, b)`, or `Name { a: 1 }`.
    Named {
        name: String,
        items: Vec<Tree>,
        fields: Vec<(String, Tree)>,
    },
    /// `{key: value}`.
    Map(Vec<(Tree, Tree)>),
    /// `[a, b]`, or `(a, b)`.
    List(Vec<Tree>),
}

impl Tree {
    /// The whole of `text`.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut reader = Reader(text.chars().peekable());
        let tree = reader.value()?;
        match reader.next() {
            None => Ok(tree),
            Some(more) => Err(format!("there is {more:?} after its end")),
        }
    }

    /// A field of a structure of this name.
    pub(super) fn field(&self, structure: &str, field: &str) -> Result<&Self, String> {
        let missing = || format!("it has no field {field} of a {structure}");
        match self {
            Self::Named { name, fields, .. } if name == structure => {
                let found = fields.iter().find(|(name, _)| name == field);
                found.map(|(_, value)| value).ok_or_else(missing)
            }
            _ => Err(missing()),
        }
    }

    pub(super) fn map(&self) -> Result<&[(Self, Self)], String> {
        match self {
            Self::Map(entries) => Ok(entries),
            other => Err(format!("{other:?} is no map")),
        }
    }

    pub(super) fn text(&self) -> Result<&str, String> {
        match self {
            Self::Text(text) => Ok(text),
            other => Err(format!("{other:?} is no string")),
        }
    }

    /// The name, and what is in brackets after it.
    pub(super) fn tuple(&self) -> Result<(&str, &[Self]), String> {
        match self {
            Self::Named { name, items, .. } => Ok((name, items)),
            other => Err(format!("{other:?} has no name")),
        }
    }
}

struct Reader<'a>(Peekable<Chars<'a>>);

impl Reader<'_> {
    /// The next character that is no space.
    fn next(&mut self) -> Option<char> {
        while self.0.next_if(|c| c.is_whitespace()).is_some() {}
        self.0.next()
    }

    fn next_if(&mut self, expected: char) -> bool {
        while self.0.next_if(|c| c.is_whitespace()).is_some() {}
        self.0.next_if_eq(&expected).is_some()
    }

    fn value(&mut self) -> Result<Tree, String> {
        match self.next() {
            Some('"') => self.text().map(Tree::Text),
            Some('{') => {
                let entry = |reader: &mut Self| Ok((reader.key()?, reader.value()?));
                self.until('}', entry).map(Tree::Map)
            }
            Some('[') => self.until(']', Self::value).map(Tree::List),
            Some('(') => self.until(')', Self::value).map(Tree::List),
            Some(first) if is_of_word(first) => self.named(first),
            other => Err(format!("{other:?} begins no value")),
        }
    }

    fn key(&mut self) -> Result<Tree, String> {
        let key = self.value()?;
        match self.next_if(':') {
            true => Ok(key),
            false => Err(format!("nothing is said of {key:?}")),
        }
    }

    fn named(&mut self, first: char) -> Result<Tree, String> {
        let mut name = String::from(first);
        while let Some(c) = self.0.next_if(|c| is_of_word(*c)) {
            name.push(c);
        }
        if self.0.next_if_eq(&'"').is_some() {
            return self.text().map(Tree::Text);
        }
        let (mut items, mut fields) = (Vec::new(), Vec::new());
        if self.next_if('(') {
            items = self.until(')', Self::value)?;
        } else if self.next_if('{') {
            fields = self.until('}', |reader| match reader.key()? {
                Tree::Named { name, .. } => Ok((name, reader.value()?)),
                other => Err(format!("{other:?} names no field")),
            })?;
        }
        Ok(Tree::Named {
            name,
            items,
            fields,
        })
    }

    /// What stands, with commas between, before `end`.
    fn until<T>(
        &mut self,
        end: char,
        mut one: impl FnMut(&mut Self) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let mut all = Vec::new();
        while !self.next_if(end) {
            if !all.is_empty() && !self.next_if(',') {
                return Err(format!("no comma stands before {:?}", self.next()));
            }
            if self.next_if(end) {
                break;
            }
            all.push(one(self)?);
        }
        Ok(all)
    }

    /// A string, after its opening quote.
    fn text(&mut self) -> Result<String, String> {
        let mut text = String::new();
        loop {
            match self.0.next().ok_or("it ends within a string")? {
                '"' => return Ok(text),
                '\\' => text.push(self.escaped()?),
                c => text.push(c),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, String> {
        match self.0.next() {
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('t') => Ok('\t'),
            Some('0') => Ok('\0'),
            Some(c @ ('"' | '\'' | '\\')) => Ok(c),
            Some('u') => {
                let digits: String = self.0.by_ref().take_while(|c| *c != '}').collect();
                let digits = digits.trim_start_matches('{');
                let code = u32::from_str_radix(digits, 16).ok();
                let c = code.and_then(char::from_u32);
                c.ok_or_else(|| format!("{digits:?} is no character"))
            }
            other => Err(format!("{other:?} is escaped in a string")),
        }
    }
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || "_-.".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    #[expect(dead_code, reason = "only its Debug text is used")]
    struct Example {
        id: Id,
        map: std::collections::BTreeMap<u8, Option<&'static str>>,
        list: Vec<(i8, &'static str)>,
        unit: (),
    }

    #[derive(Debug)]
    #[expect(dead_code, reason = "only its Debug text is used")]
    struct Id(u32, bool);

    fn example() -> Example {
        Example {
            id: Id(7, true),
            map: [(1, Some("a\"} \\ \n\u{7f}é")), (2, None)].into(),
            list: vec![(-1, "x"), (2, "")],
            unit: (),
        }
    }

    #[test]
    fn what_debug_writes_is_read_plain_and_pretty() {
        let plain = Tree::read(&format!("{:?}", example())).unwrap();
        let pretty = Tree::read(&format!("{:#?}", example())).unwrap();
        assert_eq!(plain, pretty);
        let map = plain.field("Example", "map").unwrap().map().unwrap();
        let (name, some) = map[0].1.tuple().unwrap();
        assert_eq!((name, some[0].text()), ("Some", Ok("a\"} \\ \n\u{7f}é")));
        assert_eq!(
            plain.field("Example", "id").unwrap().tuple().unwrap().0,
            "Id"
        );
        assert!(plain.field("Example", "ids").is_err());
        assert!(plain.field("Exampl", "id").is_err());
    }

    #[test]
    fn what_is_cut_short_or_left_out_is_an_error() {
        let whole = format!("{:?}", example());
        let ends = whole.char_indices().map(|(at, _)| at);
        for end in ends.filter(|end| *end > "Example ".len()) {
            assert!(Tree::read(&whole[..end]).is_err(), "{}", &whole[..end]);
        }
        for text in [
            "",
            "A { .. }",
            "A { b: 1, .. }",
            "{1}",
            "[1 2]",
            "A(1) B",
            r#""\q""#,
        ] {
            assert!(Tree::read(text).is_err(), "{text}");
        }
    }
}

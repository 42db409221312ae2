use super::Alphabet;
use super::format::{ForeignFormat, Part};
use crate::key::{CHECKSUM_LEN, ID_LEN, Prefix, SECRET_LEN};

/// Which characters can stand where, in texts of one length.
type Shape = Vec<Alphabet>;

/// A text that fits one of the shapes of each.
pub(super) fn overlap(one: &[Shape], other: &[Shape]) -> bool {
    let fit_alike = |a: &Shape, b: &Shape| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.shares_any_with(*b))
    };
    one.iter().any(|a| other.iter().any(|b| fit_alike(a, b)))
}

/// Our own keys under `prefix`.
pub(super) fn of_own_keys(prefix: &Prefix) -> Shape {
    let mut shape = literal(prefix.as_str());
    shape.extend(literal("_"));
    shape.extend([Alphabet::ALPHANUMERIC; ID_LEN]);
    shape.extend(literal("_"));
    shape.extend([Alphabet::ALPHANUMERIC; SECRET_LEN + CHECKSUM_LEN]);
    shape
}

impl ForeignFormat {
    /// One for each length that its parts can have.
    pub(super) fn shapes(&self) -> Vec<Shape> {
        let mut shapes = vec![literal(&self.prefix)];
        if let Some(label) = &self.label {
            shapes = followed_by(&shapes, &label.part);
            for shape in &mut shapes {
                shape.extend(literal(&label.separator.to_string()));
            }
        }
        for shape in &mut shapes {
            shape.extend(literal(&self.secret_prefix));
        }
        followed_by(&shapes, &self.secret)
    }
}

fn followed_by(shapes: &[Shape], part: &Part) -> Vec<Shape> {
    let lengthened = |shape: &Shape, len| {
        let mut shape = shape.clone();
        shape.resize(shape.len() + len, part.alphabet);
        shape
    };
    let each = shapes.iter().flat_map(|shape| {
        let lengths = part.lengths.clone();
        lengths.map(move |len| lengthened(shape, len))
    });
    each.collect()
}

fn literal(text: &str) -> Shape {
    text.bytes().map(Alphabet::of_one).collect()
}

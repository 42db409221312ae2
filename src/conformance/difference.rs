use crate::record::KeyRecord;

/// A record that is another one altogether is told by its first fields.
const SHOWN_FIELDS: usize = 3;

/// Longer values are shown around the place where they begin to differ.
const SHOWN_CHARS: usize = 60;

/// The fields that differ, with both values; `None` for equal records.
pub(super) fn difference(written: &KeyRecord, read: &KeyRecord) -> Option<String> {
    if written == read {
        return None;
    }
    let mut differing: Vec<String> = fields(written)
        .into_iter()
        .zip(fields(read))
        .filter(|((_, written), (_, read))| written != read)
        .map(|((field, written), (_, read))| {
            let (written, read) = excerpts(&written, &read);
            format!("{field} is {read}, and was written as {written}")
        })
        .collect();
    let slots = |record: &KeyRecord| record.secrets.slots().cloned().collect::<Vec<_>>();
    let macs = slots(written).into_iter().zip(slots(read));
    if macs
        .into_iter()
        .any(|(written, read)| written.mac != read.mac)
    {
        differing.push("a MAC is not the one that was written".into());
    }
    let more = differing.len().saturating_sub(SHOWN_FIELDS);
    differing.truncate(SHOWN_FIELDS);
    if more > 0 {
        differing.push(format!("and {more} more differ"));
    }
    Some(differing.join("; "))
}

/// Every field in a form that shows it, but for the MACs.
fn fields(record: &KeyRecord) -> Vec<(&'static str, String)> {
    let KeyRecord {
        id,
        prefix,
        name,
        owner,
        scopes,
        metadata,
        created_at,
        expires_at,
        disabled_at,
        revocation,
        allowed_ips,
        rate_limit,
        secrets,
        version,
    } = record;
    vec![
        ("id", format!("{id:?}")),
        ("prefix", format!("{prefix:?}")),
        ("name", format!("{name:?}")),
        ("owner", format!("{owner:?}")),
        ("scopes", format!("{scopes:?}")),
        ("metadata", format!("{metadata:?}")),
        ("created_at", format!("{created_at:?}")),
        ("expires_at", format!("{expires_at:?}")),
        ("disabled_at", format!("{disabled_at:?}")),
        ("revocation", format!("{revocation:?}")),
        ("allowed_ips", format!("{allowed_ips:?}")),
        ("rate_limit", format!("{rate_limit:?}")),
        ("secrets.current", format!("{:?}", secrets.current)),
        ("secrets.previous", format!("{:?}", secrets.previous)),
        ("version", format!("{version:?}")),
    ]
}

fn excerpts(one: &str, other: &str) -> (String, String) {
    let common = one.chars().zip(other.chars()).take_while(|(a, b)| a == b);
    let start = common.count().saturating_sub(SHOWN_CHARS / 2);
    let excerpt = |text: &str| {
        let shown: String = text.chars().skip(start).take(SHOWN_CHARS).collect();
        let before = if start > 0 { "…" } else { "" };
        let after = match text.chars().count() > start + SHOWN_CHARS {
            true => "…",
            false => "",
        };
        format!("{before}{shown}{after}")
    };
    (excerpt(one), excerpt(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::records;
    use crate::mac::Mac;

    #[test]
    fn a_difference_names_the_fields_with_both_values_and_shows_no_mac() {
        let written = records::plain("AAAAAAAAAAAA").unwrap();
        assert_eq!(difference(&written, &written), None);
        let mut read = written.clone();
        read.owner = "else".into();
        read.secrets.current.mac = Mac::from_bytes([9; 32]);
        let told = difference(&written, &read).unwrap();
        assert_eq!(
            told,
            "owner is \"else\", and was written as \"org_1\"; \
             a MAC is not the one that was written"
        );
    }

    #[test]
    fn of_many_differences_the_rest_is_counted() {
        let (one, other) = (records::bare("AAAAAAAAAAAA"), records::full("AAAAAAAAAAAA"));
        let told = difference(&one.unwrap(), &other.unwrap()).unwrap();
        assert_eq!(told.matches(", and was written as ").count(), 3, "{told}");
        assert!(told.ends_with("; and 10 more differ"), "{told}");
    }

    #[test]
    fn a_long_value_is_shown_where_it_differs() {
        let (one, other) = (
            format!("{}a", "x".repeat(500)),
            format!("{}b", "x".repeat(500)),
        );
        let (one, other) = excerpts(&one, &other);
        assert!(one.ends_with("xa") && other.ends_with("xb"));
        assert!(one.chars().count() < 70, "{one}");
    }
}

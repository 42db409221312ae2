//! Base62 over `0-9A-Za-z`: the alphabet of ids, secrets and checksums.

use super::RandomError;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The alphabet is exactly ASCII's letters and digits. Every byte is looked at, so that the
/// compiler can look at sixteen at once.
pub(super) fn is_base62(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .fold(true, |all, byte| all & byte.is_ascii_alphanumeric())
}

pub(super) fn encode_u32<const LEN: usize>(mut value: u32) -> [u8; LEN] {
    let mut out = [b'0'; LEN];
    for digit in out.iter_mut().rev() {
        *digit = ALPHABET[(value % 62) as usize];
        value /= 62;
    }
    out
}

/// Fills `out` with characters that are each uniform: a byte is used only below 248 = 4 × 62.
pub(super) fn fill_random(out: &mut [u8]) -> Result<(), RandomError> {
    let mut filled = 0;
    while filled < out.len() {
        let rest = &mut out[filled..];
        getrandom::fill(rest).map_err(RandomError::new)?;
        let mut kept = 0;
        for at in 0..rest.len() {
            if let Some(character) = character(rest[at]) {
                rest[kept] = character;
                kept += 1;
            }
        }
        filled += kept;
    }
    Ok(())
}

/// As [`fill_random`], with bytes from elsewhere.
pub(super) fn fill_from(out: &mut [u8], mut more: impl FnMut() -> [u8; 32]) {
    let mut filled = 0;
    while filled < out.len() {
        for (slot, character) in out[filled..]
            .iter_mut()
            .zip(more().into_iter().filter_map(character))
        {
            *slot = character;
            filled += 1;
        }
    }
}

/// The character that a uniform byte stands for, if it stands for one.
fn character(byte: u8) -> Option<u8> {
    (byte < 248).then(|| ALPHABET[usize::from(byte % 62)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_checksum_is_written_in_six_characters() {
        assert_eq!(&encode_u32::<6>(u32::MAX), b"4gfFC3");
        assert_eq!(&encode_u32::<6>(0), b"000000");
    }

    #[test]
    fn bytes_that_would_favour_a_character_are_passed_over() {
        let mut rounds = 0;
        let more = || {
            rounds += 1;
            let mut bytes = [255; 32];
            bytes[..2].copy_from_slice(&[248, rounds]);
            bytes
        };
        let mut out = [0; 3];
        fill_from(&mut out, more);
        assert_eq!((&out, rounds), (b"123", 3));
    }

    #[test]
    fn random_characters_are_uniform_over_the_alphabet() {
        let mut sample = vec![0; 62 * 2_000];
        fill_random(&mut sample).unwrap();
        assert!(is_base62(&sample));
        let chi_squared: f64 = ALPHABET
            .iter()
            .map(|c| sample.iter().filter(|s| *s == c).count() as f64 - 2_000.0)
            .map(|off| off * off / 2_000.0)
            .sum();
        // 61 degrees of freedom: above 160 once in 10^10 runs. `byte % 62` without rejection gives about 730.
        assert!(chi_squared < 160.0, "{chi_squared}");
    }
}

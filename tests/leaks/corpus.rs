//! Texts with keys, and texts that have none.

use std::hash::{BuildHasher, RandomState};

use keygate::leak::Scanner;

/// The prefixes of the corpus. Each two of them are harder to tell apart than those of a service.
pub(crate) const PREFIXES: [&str; 5] = ["acme_live", "acme_test", "my_acme_live", "live", "q7"];

const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A file name, and what stands there around each key. `~` is random text.
const PLACES: [(&str, &str); 12] = [
    (".env", "ACME_API_KEY={}\nOTHER=~\n"),
    (
        "values.yaml",
        "acme:\n  # live_ and acme_live_ are how they begin\n  key: '{}'\n  checksum: ~\n",
    ),
    (
        "config.json",
        "{\"id\":\"~\",\"token\":\"{}\",\"args\":\"{\\\"key\\\":\\\"{}\\\"}\"}\n",
    ),
    (
        "client.rs",
        "let client = Client::new(\"{}\"); // acme_live_~\nlet key_acme_live_id = acme_live_key();\n",
    ),
    (
        "change.diff",
        "-    authorization: Bearer {}\n+    authorization: Bearer {}\n",
    ),
    (
        "bundle.min.js",
        "var _0x1f=\"{}\",a_b=c_d(\"~\");fetch(u+\"?k={}&v=~\");",
    ),
    ("blob.txt", "~{}~\n~/{}+~==\n"),
    (
        "access.log",
        "GET /v1/orders?key={}&page=2 HTTP/1.1 200 ~\n",
    ),
    ("call.sh", "curl -H 'X-API-Key: {}' https://~.example.com\n"),
    ("glued.txt", "key_{}x {}{} prefix{}\n"),
    ("table.csv", "~,{},\"{}\",;{};~\n"),
    (
        "notes.md",
        "The key is `{}`, not acme_live_xxxxxxxxxxxx_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.\n",
    ),
];

pub(crate) struct File {
    pub(crate) name: &'static str,
    pub(crate) text: String,
    /// In the order in which they stand there.
    pub(crate) keys: Vec<String>,
}

/// Makes the same texts of the same seed.
pub(crate) struct Corpus(u64);

impl Corpus {
    /// From a new seed, which a failure shows.
    pub(crate) fn new() -> Self {
        let seed = RandomState::new().hash_one(0);
        println!("the seed of the corpus is {seed}");
        Self::from_seed(seed)
    }

    pub(crate) fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn base62(&mut self, len: usize) -> String {
        let character = |_| char::from(ALPHABET[self.below(62)]);
        (0..len).map(character).collect()
    }

    pub(crate) fn key(&mut self, prefix: &str) -> String {
        let body = format!("{prefix}_{}_{}", self.base62(12), self.base62(43));
        let checksum = checksum(&body);
        body + &checksum
    }

    pub(crate) fn any_key(&mut self) -> String {
        let prefix = PREFIXES[self.below(PREFIXES.len())];
        self.key(prefix)
    }

    /// Two keys, of which the first ends as the second begins.
    pub(crate) fn overlapping_keys(&mut self) -> (String, String) {
        loop {
            let first = self.any_key();
            if first.ends_with('q') {
                return (first, self.key("q7"));
            }
        }
    }

    /// What is nearly a key.
    pub(crate) fn near_miss(&mut self) -> String {
        let mut key = self.any_key();
        let last = key.pop().unwrap();
        match self.below(6) {
            0 => key,
            1 => key + if last == '0' { "1" } else { "0" },
            2 => format!("A{key}{last}")
                .replace("live_", "Live_")
                .replace("test_", "Test_")
                .replace("q7_", "q8_"),
            3 => format!("{key}{last}").replace('_', "-"),
            4 => format!("{key}{last}").replacen('_', "__", 3),
            _ => key.to_uppercase() + "_",
        }
    }

    /// So many keys of each prefix, in files as one finds them.
    pub(crate) fn files(&mut self, of_each_prefix: usize) -> Vec<File> {
        let mut keys: Vec<String> = PREFIXES
            .iter()
            .flat_map(|prefix| std::iter::repeat_n(prefix, of_each_prefix))
            .map(|prefix| self.key(prefix))
            .collect();
        for place in (1..keys.len()).rev() {
            keys.swap(place, self.below(place + 1));
        }
        let mut files = PLACES.map(|(name, _)| File {
            name,
            text: String::new(),
            keys: Vec::new(),
        });
        let mut places = (0..PLACES.len()).cycle();
        while !keys.is_empty() {
            let place = places.next().unwrap();
            self.fill(PLACES[place].1, &mut files[place], &mut keys);
        }
        files.into()
    }

    fn fill(&mut self, place: &str, file: &mut File, keys: &mut Vec<String>) {
        let mut rest = place;
        while let Some(at) = rest.find(['~', '{']) {
            file.text.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix("{}") {
                let key = keys.pop().unwrap_or_else(|| self.any_key());
                file.text.push_str(&key);
                file.keys.push(key);
                rest = after;
            } else if let Some(after) = rest.strip_prefix('~') {
                let len = 8 + self.below(90);
                file.text.push_str(&self.base62(len));
                rest = after;
            } else {
                file.text.push('{');
                rest = &rest[1..];
            }
        }
        file.text.push_str(rest);
    }

    /// At least so many bytes of words, hex and base64, in which no key stands; `extra` is put in
    /// between.
    pub(crate) fn without_keys(
        &mut self,
        len: usize,
        mut extra: impl FnMut(&mut Self) -> String,
    ) -> String {
        const WORDS: [&str; 13] = [
            "acme_live_000000000000_0000000000000000000000000000000000000000000000000",
            "acme",
            "live",
            "acme_live",
            "acme_live_",
            "my_acme_",
            "test",
            "q7_",
            "the",
            "fn",
            "key",
            "orders:read",
            "acme_live_xxxxxxxxxxxx_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        ];
        let mut text = String::with_capacity(len + 1_000);
        while text.len() < len {
            match self.below(8) {
                0 => text.push_str(&format!("{:016x}{:016x}", self.next(), self.next())),
                1 => text.push_str(&self.base62(150)),
                2 => text.push_str(&extra(self)),
                _ => text.push_str(WORDS[self.below(WORDS.len())]),
            }
            text.push(if self.below(12) == 0 { '\n' } else { ' ' });
        }
        text
    }
}

pub(crate) fn checksum(body: &str) -> String {
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits.map(char::from).iter().collect()
}

pub(crate) fn scanner() -> Scanner {
    scanner_of(&PREFIXES)
}

pub(crate) fn scanner_of(prefixes: &[&str]) -> Scanner {
    let first = Scanner::new(prefixes[0]).unwrap();
    let also = |scanner: Scanner, prefix: &&str| scanner.also(prefix).unwrap();
    prefixes[1..].iter().fold(first, also)
}

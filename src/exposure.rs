//! Keys that came by a way on which others may have read them.

use std::fmt;

/// How a key was exposed on its way here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Exposure {
    /// A browser sent it, where whoever uses the browser can read it.
    ByBrowser,
    /// It came over a connection that was not encrypted, where others can read it.
    InPlaintext,
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ByBrowser => "by a browser",
            Self::InPlaintext => "in plaintext",
        })
    }
}

/// What becomes of a request whose key was exposed on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum OnExposure {
    /// It is decided as any other.
    Ignore,
    /// It is told as by [`Tell`](Self::Tell), and refused as
    /// [`Rejection::KeyExposed`](crate::Rejection::KeyExposed).
    Refuse,
    /// It is decided as any other. Where its secret proves right, whatever is decided, the audit log and
    /// the host's [channel](crate::Builder::audit_channel) get an event with the key, the metric
    /// `keygate_exposed_total` counts it, and once a minute at most the log warns of it.
    #[default]
    Tell,
}

/// In which ways the key of a request was exposed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exposures {
    pub(crate) by_browser: bool,
    pub(crate) in_plaintext: bool,
}

impl Exposures {
    pub(crate) const ALL: Self = Self {
        by_browser: true,
        in_plaintext: true,
    };

    pub(crate) const NONE: Self = Self {
        by_browser: false,
        in_plaintext: false,
    };

    fn all(self) -> impl Iterator<Item = Exposure> {
        let by_browser = self.by_browser.then_some(Exposure::ByBrowser);
        let in_plaintext = self.in_plaintext.then_some(Exposure::InPlaintext);
        by_browser.into_iter().chain(in_plaintext)
    }
}

/// What a gate does about exposed keys.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct ExposurePolicy {
    pub(crate) by_browser: OnExposure,
    pub(crate) in_plaintext: OnExposure,
}

impl ExposurePolicy {
    const fn on(self, exposure: Exposure) -> OnExposure {
        match exposure {
            Exposure::ByBrowser => self.by_browser,
            Exposure::InPlaintext => self.in_plaintext,
        }
    }

    /// Those of which somebody is to be told.
    pub(crate) fn told(self, exposures: Exposures) -> impl Iterator<Item = Exposure> {
        let all = exposures.all();
        all.filter(move |exposure| self.on(*exposure) != OnExposure::Ignore)
    }

    /// The one for which a request is refused, if it is.
    pub(crate) fn refused(self, exposures: Exposures) -> Option<Exposure> {
        let mut all = exposures.all();
        all.find(|exposure| self.on(*exposure) == OnExposure::Refuse)
    }
}

use crate::exposure::Exposure;
use crate::refusal::Refusal;

/// How the requests of one gate are decided, as the feature `metrics` counts it; without it, nothing is
/// counted. It is told to the recorder that is there when the gate is built.
#[derive(Default)]
pub(crate) struct Outcomes {
    /// `None`: the gate is no real one.
    #[cfg(feature = "metrics")]
    decisions: Option<super::metrics::Decisions>,
}

impl Outcomes {
    pub(crate) fn new(realm: &str) -> Self {
        let _ = realm;
        Self {
            #[cfg(feature = "metrics")]
            decisions: Some(super::metrics::Decisions::new(realm)),
        }
    }

    pub(crate) fn accepted(&self) {
        #[cfg(feature = "metrics")]
        if let Some(decisions) = &self.decisions {
            decisions.accepted();
        }
    }

    pub(crate) fn refused(&self, refusal: &Refusal) {
        #[cfg(feature = "metrics")]
        if let Some(decisions) = &self.decisions {
            decisions.refused(refusal.code());
        }
        let _ = refusal;
    }

    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub(crate) fn leaked(&self) {
        #[cfg(feature = "metrics")]
        if let Some(decisions) = &self.decisions {
            decisions.leaked();
        }
    }

    pub(crate) fn canary_used(&self) {
        #[cfg(feature = "metrics")]
        if let Some(decisions) = &self.decisions {
            decisions.canary_used();
        }
    }

    pub(crate) fn leak_reported(&self) {
        #[cfg(feature = "metrics")]
        if let Some(decisions) = &self.decisions {
            decisions.leak_reported();
        }
    }

    pub(crate) fn exposed(&self, exposure: Exposure) {
        #[cfg(feature = "metrics")]
        if let Some(decisions) = &self.decisions {
            decisions.exposed(exposure);
        }
        let _ = exposure;
    }

    /// Waits for the store in the name of a request, and takes the time of it.
    pub(crate) async fn of_lookup<F: Future>(&self, lookup: F) -> F::Output {
        #[cfg(feature = "metrics")]
        let began = std::time::Instant::now();
        let output = lookup.await;
        #[cfg(feature = "metrics")]
        if let Some(decisions) = &self.decisions {
            decisions.looked_up(began.elapsed());
        }
        output
    }
}

//! The reference model. It is written from the design, and knows nothing of MACs, caches, stores
//! or asynchrony: only what a key is, what may be done to it, and whom it lets in.

/// A moment, in milliseconds.
pub(crate) type Millis = i64;

/// A secret: the number of the text that holds it.
pub(crate) type Secret = usize;

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) prefix: &'static str,
    pub(crate) owner: usize,
    pub(crate) scopes: &'static [&'static str],
    pub(crate) expires: Option<Millis>,
    pub(crate) disabled: bool,
    pub(crate) revoked: bool,
    pub(crate) current: Secret,
    /// The secret before, and when it ends.
    pub(crate) previous: Option<(Secret, Option<Millis>)>,
}

/// What an operation on a key comes to: a refusal, nothing to do, or the key as it is then.
pub(crate) type Outcome = Result<Option<Key>, &'static str>;

impl Key {
    /// What is answered to who presents `secret` under `prefix` and wants to do `wanted`.
    pub(crate) fn verdict(
        &self,
        prefix: &str,
        secret: Secret,
        wanted: Option<&str>,
        now: Millis,
    ) -> &'static str {
        let end = match &self.previous {
            _ if self.prefix != prefix => return "key_invalid",
            _ if secret == self.current => None,
            Some((old, end)) if secret == *old => *end,
            _ => return "key_invalid",
        };
        if self.disabled {
            "key_disabled"
        } else if self.revoked {
            "key_revoked"
        } else if self.is_expired(now) || end.is_some_and(|end| now >= end) {
            "key_expired"
        } else if wanted.is_some_and(|wanted| !self.may(wanted)) {
            "scope_insufficient"
        } else {
            "accepted"
        }
    }

    fn may(&self, wanted: &str) -> bool {
        self.scopes.iter().any(|scope| {
            let (granted, wanted) = (scope.split(':'), wanted.split(':'));
            granted.clone().count() == wanted.clone().count()
                && granted.zip(wanted).all(|(g, w)| g == "*" || g == w)
        })
    }

    fn is_expired(&self, now: Millis) -> bool {
        self.expires.is_some_and(|end| now >= end)
    }

    /// The end of the older of two live secrets, if two are live.
    fn is_rotating(&self, now: Millis) -> bool {
        self.previous
            .is_some_and(|(_, end)| end.is_none_or(|end| now < end))
    }

    fn alive(&self, now: Millis) -> Result<(), &'static str> {
        match (self.revoked, self.is_expired(now)) {
            (true, _) => Err("revoked"),
            (_, true) => Err("expired"),
            _ => Ok(()),
        }
    }

    pub(crate) fn rotate(&self, fresh: Secret, overlap: Millis, now: Millis) -> Outcome {
        self.alive(now)?;
        if self.is_rotating(now) {
            return Err("rotating");
        }
        let end = self
            .expires
            .map_or(now + overlap, |end| end.min(now + overlap));
        Ok(Some(Self {
            current: fresh,
            previous: Some((self.current, Some(end))),
            ..self.clone()
        }))
    }

    pub(crate) fn supersede(&self, fresh: Secret, now: Millis) -> Outcome {
        self.alive(now)?;
        match self.is_rotating(now) {
            true => Ok(Some(Self {
                current: fresh,
                ..self.clone()
            })),
            false => Err("not rotating"),
        }
    }

    pub(crate) fn finish(&self, now: Millis) -> Outcome {
        let ended = self.previous.map(|(old, _)| (old, Some(now)));
        Ok(self.is_rotating(now).then(|| Self {
            previous: ended,
            ..self.clone()
        }))
    }

    pub(crate) fn pause(&self, disabled: bool) -> Outcome {
        match self.revoked {
            true => Err("revoked"),
            false => Ok((self.disabled != disabled).then(|| Self {
                disabled,
                ..self.clone()
            })),
        }
    }

    pub(crate) fn change(
        &self,
        scopes: &'static [&'static str],
        expires: Option<Millis>,
        now: Millis,
    ) -> Outcome {
        self.alive(now)?;
        let differs = self.scopes != scopes || self.expires != expires;
        Ok(differs.then(|| Self {
            scopes,
            expires,
            ..self.clone()
        }))
    }

    /// A revoked key is no longer paused: its bearer is told that it is gone.
    pub(crate) fn revoke(&self) -> Outcome {
        let gone = Self {
            revoked: true,
            disabled: false,
            ..self.clone()
        };
        Ok((!self.revoked).then_some(gone))
    }
}

//! Which peppers keys still need.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use clap::Args;
use keygate::{PepperId, PepperKeys, PepperRing, PepperUse};
use serde::Serialize;

use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::output::{Output, Progress, Table, counted};

#[derive(Args)]
pub(super) struct Pepper {}

#[derive(Serialize)]
struct Peppers {
    peppers: Vec<OnePepper>,
    /// How many records cannot be read, and may need any pepper.
    unreadable_keys: usize,
}

#[derive(Serialize)]
struct OnePepper {
    id: PepperId,
    state: State,
    keys: usize,
    /// Whose keys need it, those with most of them first.
    owners: Vec<Owner>,
}

/// What a pepper is in these settings.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Active,
    VerifyOnly,
    Missing,
}

#[derive(Serialize)]
struct Owner {
    owner: String,
    keys: usize,
}

impl Pepper {
    pub(super) async fn run(self, context: Context<'_>) -> Result<Exit, Failure> {
        let manager = context.config.manager().await?;
        let ring = context.config.peppers()?.read()?;
        let progress = Progress::spinner(context.output, "reading all keys");
        let found = manager.pepper_use().await?;
        drop(progress);
        let report = Peppers::of(found, &ring);
        context.output.answer(&report, || report.drawn())?;
        report.advise(ring.active_id(), context.output);
        Ok(Exit::Done)
    }
}

impl Peppers {
    fn of(mut found: PepperUse, ring: &PepperRing) -> Self {
        let known: BTreeSet<PepperId> = ring.ids().collect();
        let needed = found.peppers.keys().copied();
        let all: BTreeSet<PepperId> = known.iter().copied().chain(needed).collect();
        let one = |id| {
            let state = match known.contains(&id) {
                true if id == ring.active_id() => State::Active,
                true => State::VerifyOnly,
                false => State::Missing,
            };
            let keys = found.peppers.remove(&id).unwrap_or_default();
            OnePepper::of(id, state, keys)
        };
        Self {
            peppers: all.into_iter().map(one).collect(),
            unreadable_keys: found.unreadable,
        }
    }

    fn drawn(&self) -> String {
        let mut table = Table::new(&["pepper", "here", "keys", "owners"]);
        for pepper in &self.peppers {
            let state = match pepper.state {
                State::Active => "active",
                State::VerifyOnly => "verifies only",
                State::Missing => "missing",
            };
            table.row([
                &pepper.id.to_string(),
                state,
                &pepper.keys.to_string(),
                &pepper.drawn_owners(),
            ]);
        }
        table.draw()
    }

    /// Says what comes next on the way to one pepper.
    fn advise(&self, active: PepperId, output: Output) {
        for OnePepper {
            id, keys, state, ..
        } in &self.peppers
        {
            match (state, keys) {
                (State::Missing, _) => output.tell(format_args!(
                    "pepper {id} is not among the peppers here, and where it is not its keys do not open: add it \
                     behind the active one"
                )),
                (State::VerifyOnly, 0) if *id < active && self.unreadable_keys == 0 => {
                    output.tell(format_args!(
                        "no key needs pepper {id} any more: where no instance has it as the active one, keygate \
                         pepper retire {id}"
                    ));
                }
                (State::VerifyOnly, 1..) if *id < active => output.tell(format_args!(
                    "keys leave pepper {id} as they are used; those that are not: keygate report idle, then keygate \
                     rotate or revoke"
                )),
                (State::VerifyOnly, 1..) => output.tell(format_args!(
                    "keys leave pepper {id}, which is higher than the active one, only by keygate rotate"
                )),
                (State::Active | State::VerifyOnly, _) => {}
            }
        }
        if self.unreadable_keys > 0 {
            output.tell(format_args!(
                "{} cannot be read, and may need any of them: keygate list says which",
                counted(self.unreadable_keys, "record")
            ));
        }
    }
}

impl OnePepper {
    fn of(id: PepperId, state: State, needing: PepperKeys) -> Self {
        let owners = needing.owners.into_iter();
        let mut owners: Vec<Owner> = owners.map(|(owner, keys)| Owner { owner, keys }).collect();
        owners.sort_by_key(|owner| Reverse(owner.keys));
        Self {
            id,
            state,
            keys: needing.keys,
            owners,
        }
    }

    /// The first of them by name.
    fn drawn_owners(&self) -> String {
        const NAMED: usize = 5;
        let named = self.owners.iter().take(NAMED);
        let mut named: Vec<String> = named
            .map(|Owner { owner, keys }| format!("{owner} ({keys})"))
            .collect();
        if self.owners.len() > NAMED {
            named.push(format!("and {} more", self.owners.len() - NAMED));
        }
        named.join(", ")
    }
}

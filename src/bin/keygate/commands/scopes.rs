//! What a key may do.

use std::time::Duration;

use clap::Args;
use keygate::store::ScopeUsage;
use keygate::{
    Catalogue, Change, Conflict, KeyActivity, KeyInfo, ManageError, Privileges, Scope, ScopeSet,
    Unproved,
};
use serde::Serialize;

use super::Context;
use super::revise::{Plan, revise};
use super::traits::parse_id;
use super::usage::{need, needs};
use crate::failure::{Exit, Failure};
use crate::output::{Table, span, typed};

#[derive(Args)]
#[command(
    after_help = "orders:read,write stands for two scopes. --set, --add and --drop can be repeated; --add and --drop \
                  can be given together."
)]
pub(crate) struct Scopes {
    /// The id of the key.
    #[arg(value_name = "KEY_ID")]
    key: String,
    /// Only what was needed within this time counts as needed.
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = humantime::parse_duration)]
    #[arg(conflicts_with_all = ["set", "add", "drop", "narrow"])]
    within: Duration,
    /// From now on it may do this, and nothing else.
    #[arg(long, value_name = "SCOPE", conflicts_with_all = ["add", "drop", "narrow"])]
    set: Vec<String>,
    /// It may also do this.
    #[arg(long, value_name = "SCOPE", conflicts_with = "narrow")]
    add: Vec<String>,
    /// It may not do this any more.
    #[arg(long, value_name = "SCOPE", conflicts_with = "narrow")]
    drop: Vec<String>,
    /// It keeps what it needed within this time, also in the place of wildcards.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    narrow: Option<Duration>,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

#[derive(Serialize)]
struct Shown<'a> {
    info: &'a KeyInfo,
    /// What was ever needed, and when last.
    needed: &'a [ScopeUsage],
    /// What it lacked where a rule only reports that.
    lacked: &'a [ScopeUsage],
    within_seconds: u64,
    /// `null`: nothing is proved.
    privileges: Option<&'a Privileges>,
    unproved: Option<&'a Unproved>,
}

impl Scopes {
    pub(crate) async fn run(self, context: Context<'_>) -> Result<Exit, Failure> {
        if let Some(window) = self.narrow {
            return revise(&context, &self.key, self.yes, |key| narrowed(key, window)).await;
        }
        if self.set.is_empty() && self.add.is_empty() && self.drop.is_empty() {
            return self.show(&context).await;
        }
        let catalogue = context.config.catalogue()?;
        let [set, add, drop] =
            [&self.set, &self.add, &self.drop].map(|texts| written_out(texts, catalogue));
        let (set, add, drop) = (set?, add?, drop?);
        let set = Some(set).filter(|set| !set.is_empty());
        let plan = |key: &KeyActivity| {
            let granted = &key.info.scopes;
            let wanted = match &set {
                Some(set) => set.clone(),
                None => edited(granted, &add, &drop)?,
            };
            let lost: Vec<&str> = wanted.lacking(granted).collect();
            Ok(Plan {
                change: Change::new().scopes(wanted.iter().map(str::to_owned)),
                loss: (!lost.is_empty()).then(|| format!("it loses {}", lost.join(" "))),
            })
        };
        revise(&context, &self.key, self.yes, plan).await
    }

    async fn show(&self, context: &Context<'_>) -> Result<Exit, Failure> {
        let manager = context.config.manager().await?;
        let key = manager.activity(&parse_id(&self.key)?).await?;
        let judged = key.privileges(self.within);
        let usage = key.usage.as_ref();
        let shown = Shown {
            info: &key.info,
            needed: usage.map_or(&[], |usage| &usage.scopes),
            lacked: usage.map_or(&[], |usage| &usage.lacked),
            within_seconds: self.within.as_secs(),
            privileges: judged.as_ref().ok(),
            unproved: judged.as_ref().err(),
        };
        context.output.answer(&shown, || drawn(&key))?;
        let (id, window) = (&key.info.key_id, span(self.within));
        match &judged {
            _ if key.info.scopes.is_empty() => context.output.tell("it may do nothing"),
            Err(unproved) => context.output.tell(unproved),
            Ok(Privileges { narrowed: None, .. }) => context
                .output
                .tell(format_args!("it was not used within {window}")),
            Ok(privileges) if privileges.are_excessive() => context.output.tell(format_args!(
                "not needed within {window}: {}; to take it away: keygate scopes {id} --narrow {}",
                privileges.dropped,
                typed(self.within)
            )),
            Ok(_) => context
                .output
                .tell(format_args!("all of it was needed within {window}")),
        }
        Ok(Exit::Done)
    }
}

/// A key that may do only what it needed within `window`.
pub(crate) fn narrowed(key: &KeyActivity, window: Duration) -> Result<Plan, Failure> {
    let privileges = key.privileges(window);
    let privileges = privileges.map_err(|unproved| ManageError::from(Conflict::from(unproved)))?;
    let kept = privileges.narrowed.as_ref();
    let kept = kept.ok_or(ManageError::from(Conflict::NotUsed))?;
    let loss = format!("it loses {}, and keeps {kept}", privileges.dropped);
    Ok(Plan {
        change: Change::new().narrow_to_used(window),
        loss: privileges.are_excessive().then_some(loss),
    })
}

/// The scopes that are named, with those of a bundle in its place: it is by them that a key is judged.
fn written_out(texts: &[String], catalogue: Option<Catalogue>) -> Result<ScopeSet, ManageError> {
    let named = ScopeSet::parse(texts)?;
    let bundles = catalogue.map_or(&[] as &[_], Catalogue::bundles);
    let of = |name| match bundles.iter().find(|bundle| bundle.name() == name) {
        Some(bundle) => bundle.scopes().iter().map(|scope| scope.name()).collect(),
        None => vec![name],
    };
    Ok(ScopeSet::parse(named.iter().flat_map(of))?)
}

/// What is granted, with these scopes and without those.
fn edited(granted: &ScopeSet, add: &ScopeSet, drop: &ScopeSet) -> Result<ScopeSet, Failure> {
    let is_in = |scope: &str, set: &ScopeSet| set.iter().any(|other| other == scope);
    if let Some(missing) = drop.iter().find(|scope| !is_in(scope, granted)) {
        let problem = match granted.is_empty() {
            true => format!("the key has no scope {missing}: it has none"),
            false => format!("the key has no scope {missing}: it has {granted}"),
        };
        return Err(Failure::new(Exit::Conflict, problem));
    }
    let kept = granted.iter().filter(|scope| !is_in(scope, drop));
    let scopes = kept.chain(add.iter()).map(str::parse::<Scope>);
    let scopes: Result<ScopeSet, _> = scopes.collect();
    Ok(scopes.map_err(ManageError::from)?)
}

fn drawn(key: &KeyActivity) -> String {
    let mut table = Table::new(&["scope", "needed"]);
    for (scope, needed) in needs(key) {
        if needed.is_empty() {
            table.row([scope, "never"]);
        }
        for (n, usage) in needed.into_iter().enumerate() {
            let scope = if n == 0 { scope } else { "" };
            table.row([scope, &need(usage, key)]);
        }
    }
    table.draw()
}

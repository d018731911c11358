//! What sccache says of its hits and misses.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use supercargo_plan::built::Hits;

use crate::process::{Call, output};

/// How long it may take to say so.
const LIMIT: Duration = Duration::from_secs(10);

/// What it said at one time.
#[derive(Clone, Copy, Debug)]
pub struct Statistics(Hits);

/// `sccache --show-stats --stats-format json`, as far as it counts here.
#[derive(Deserialize)]
struct Said {
    stats: Stats,
}

#[derive(Deserialize)]
struct Stats {
    cache_hits: Counts,
    cache_misses: Counts,
}

#[derive(Deserialize)]
struct Counts {
    counts: std::collections::BTreeMap<String, u64>,
}

/// What sccache says now, where it is the `wrapper` of the compiler.
#[must_use]
pub fn of_sccache(root: &Path, wrapper: Option<&str>) -> Option<Statistics> {
    let wrapper = wrapper?;
    Path::new(wrapper).file_stem().filter(|name| *name == "sccache")?;
    let call = Call::new(root, |shell| shell.cmd(wrapper).args(["--show-stats", "--stats-format", "json"])).ok()?;
    let said = output(call, None, LIMIT).ok().filter(|said| said.status.success())?;
    parse(&said.stdout).map(Statistics)
}

fn parse(text: &[u8]) -> Option<Hits> {
    let Said { stats } = serde_json::from_slice(text).ok()?;
    let sum = |counts: &Counts| counts.counts.values().sum();
    Some(Hits { hits: sum(&stats.cache_hits), misses: sum(&stats.cache_misses) })
}

impl Statistics {
    /// What came since.
    #[must_use]
    pub fn since(&self, root: &Path, wrapper: Option<&str>) -> Option<Hits> {
        let Statistics(now) = of_sccache(root, wrapper)?;
        let Statistics(before) = self;
        let (hits, misses) = (now.hits.saturating_sub(before.hits), now.misses.saturating_sub(before.misses));
        Some(Hits { hits, misses })
    }
}

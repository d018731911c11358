//! Members to shards of about equal work.

use std::collections::BTreeMap;

use crate::facts::workspace::MemberName;

/// Most shards that a forge's matrix takes.
pub const MOST: usize = 256;

/// Splits `members` into at most `wanted` shards, none empty: the longest first, each to the shard with the least work.
///
/// `seconds` holds recorded durations; `sizes` the bytes of each member's files, which stand in, at the recorded
/// members' own rate, where nothing is recorded.
#[must_use]
pub fn split(
    members: &[MemberName],
    wanted: usize,
    seconds: &BTreeMap<MemberName, f64>,
    sizes: &BTreeMap<MemberName, u64>,
) -> Vec<Vec<MemberName>> {
    let size = |member: &MemberName| sizes.get(member).copied().unwrap_or(0).max(1) as f64;
    let known =
        |member: &MemberName| seconds.get(member).copied().filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
    let recorded: Vec<&MemberName> = sizes.keys().filter(|member| known(member).is_some()).collect();
    let bytes: f64 = recorded.iter().map(|member| size(member)).sum();
    let rate = if bytes > 0.0 { recorded.iter().filter_map(|member| known(member)).sum::<f64>() / bytes } else { 1.0 };
    let mut work: Vec<(f64, &MemberName)> =
        members.iter().map(|member| (known(member).unwrap_or_else(|| size(member) * rate), member)).collect();
    work.sort_by(|(a, one), (b, other)| b.total_cmp(a).then_with(|| one.cmp(other)));
    let mut shards = vec![(0.0_f64, Vec::new()); wanted.min(members.len())];
    for (cost, member) in work {
        if let Some(least) =
            shards.iter_mut().min_by(|(a, one), (b, other)| a.total_cmp(b).then(one.len().cmp(&other.len())))
        {
            least.0 += cost;
            least.1.push(member.clone());
        }
    }
    shards
        .into_iter()
        .map(|(_, mut members)| {
            members.sort();
            members
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<MemberName> {
        names.iter().map(|name| MemberName::from(*name)).collect()
    }

    fn table<T: Copy>(entries: &[(&str, T)]) -> BTreeMap<MemberName, T> {
        entries.iter().map(|(name, value)| (MemberName::from(*name), *value)).collect()
    }

    #[test]
    fn the_longest_goes_alone_and_the_rest_fill_up() {
        let seconds = table(&[("a", 10.0), ("b", 4.0), ("c", 3.0), ("d", 3.0)]);
        let shards = split(&names(&["a", "b", "c", "d"]), 2, &seconds, &BTreeMap::new());
        assert_eq!(shards, [names(&["a"]), names(&["b", "c", "d"])]);
    }

    #[test]
    fn sizes_stand_in_at_the_rate_of_what_is_recorded() {
        // a took 10 s for 10 bytes, so 40 bytes of c weigh more than the 20 s of b.
        let seconds = table(&[("a", 10.0), ("b", 20.0)]);
        let sizes = table(&[("a", 10), ("b", 20), ("c", 40)]);
        let shards = split(&names(&["a", "b", "c"]), 2, &seconds, &sizes);
        assert_eq!(shards, [names(&["c"]), names(&["a", "b"])]);
    }

    #[test]
    fn no_shard_is_empty_and_nobody_is_lost() {
        let members = names(&["a", "b", "c"]);
        let shards = split(&members, 8, &BTreeMap::new(), &BTreeMap::new());
        assert_eq!(shards.len(), 3);
        assert!(split(&[], 8, &BTreeMap::new(), &BTreeMap::new()).is_empty());
        let odd = table(&[("a", f64::NAN), ("b", -1.0), ("c", f64::INFINITY)]);
        assert_eq!(split(&members, 2, &odd, &BTreeMap::new()).concat().len(), 3);
    }
}

//! The affected part of the graph, drawn: for Mermaid, which a step summary shows, and for Graphviz.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use supercargo_plan::answer::Answer;
use supercargo_plan::cause::Cause;
use supercargo_plan::facts::workspace::{DependencyKind, Level};
use supercargo_plan::graph::{Key, key};

/// What is drawn: nodes with an identifier, causes with theirs, and arrows from what is used to who uses it.
struct Drawing<'a> {
    nodes: BTreeMap<Key<'a>, String>,
    causes: Vec<(String, String, Vec<Key<'a>>)>,
    arrows: BTreeSet<(Key<'a>, Key<'a>, bool)>,
    members: BTreeSet<Key<'a>>,
}

/// Most causes that are drawn one by one for the same nodes.
const MOST_CAUSES: usize = 3;

fn draw<'a>(answer: &Answer<'a>) -> Drawing<'a> {
    let members: BTreeSet<Key<'a>> = answer.selected().iter().map(|member| key(member.package)).collect();
    let mut arrows: BTreeSet<(Key<'a>, Key<'a>, bool)> = BTreeSet::new();
    let mut open: Vec<Key<'a>> = members.iter().copied().collect();
    let edges: Vec<_> = answer.affected.affected_edges().collect();
    let mut seen: BTreeSet<Key<'a>> = members.clone();
    // From the members down to what changed, packages and path crates on the way included.
    while let Some(node) = open.pop() {
        for (user, used, kind) in edges.iter().filter(|(user, ..)| *user == node) {
            let dev = *kind == DependencyKind::Dev;
            if dev && (answer.set == Level::Build || !members.contains(user)) {
                continue;
            }
            arrows.insert((*used, *user, dev));
            if seen.insert(*used) {
                open.push(*used);
            }
        }
    }
    let nodes: BTreeMap<Key<'a>, String> = seen.iter().enumerate().map(|(n, node)| (*node, format!("n{n}"))).collect();
    let mut causes: BTreeMap<String, Vec<Key<'a>>> = BTreeMap::new();
    for node in &seen {
        let own: Vec<String> = answer
            .affected
            .causes_of(node)
            .filter(|cause| cause.level == Level::Build || members.contains(node))
            .map(ToString::to_string)
            .collect();
        match own.len() {
            0..=MOST_CAUSES => own.into_iter().for_each(|cause| causes.entry(cause).or_default().push(*node)),
            more => causes.entry(format!("{} and {} more", own[0], more - 1)).or_default().push(*node),
        }
    }
    let counts = |cause: &&Cause| answer.set == Level::Check || cause.level == Level::Build;
    let everyone: Vec<&Cause> = answer.affected.everyone.iter().filter(counts).collect();
    let more = everyone.len().saturating_sub(MOST_CAUSES);
    let mut everyone: Vec<String> =
        everyone.iter().take(MOST_CAUSES).map(|cause| format!("everyone: {cause}")).collect();
    everyone.extend((more > 0).then(|| format!("everyone: {more} more causes")));
    let causes = causes.into_iter().chain(everyone.into_iter().map(|cause| (cause, Vec::new())));
    let causes = causes.enumerate().map(|(n, (cause, nodes))| (format!("c{n}"), cause, nodes)).collect();
    Drawing { nodes, causes, arrows, members }
}

/// For Mermaid: causes are flags, members boxes, packages on the way rounded, dev-dependencies dotted.
#[must_use]
pub fn mermaid(answer: &Answer<'_>) -> String {
    let drawing = draw(answer);
    let escape =
        |text: &str| text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;");
    let mut text = String::from("graph LR\n");
    for (node, id) in &drawing.nodes {
        let (open, close) = if drawing.members.contains(node) { ("[", "]") } else { ("(", ")") };
        let _written = writeln!(text, "  {id}{open}\"{}\"{close}", escape(&node.to_string()));
    }
    for (id, cause, nodes) in &drawing.causes {
        let _written = writeln!(text, "  {id}>\"{}\"]:::cause", escape(cause));
        for node in nodes {
            let _written = writeln!(text, "  {id} --> {}", drawing.nodes[node]);
        }
    }
    for (used, user, dev) in &drawing.arrows {
        let arrow = if *dev { "-.->" } else { "-->" };
        let _written = writeln!(text, "  {} {arrow} {}", drawing.nodes[used], drawing.nodes[user]);
    }
    text.push_str("  classDef cause fill:#fde68a,stroke:#b45309,color:#000\n");
    text
}

/// For Graphviz.
#[must_use]
pub fn dot(answer: &Answer<'_>) -> String {
    let drawing = draw(answer);
    let escape = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut text = String::from("digraph affected {\n  rankdir=LR;\n  node [shape=box];\n");
    for (node, id) in &drawing.nodes {
        let style = if drawing.members.contains(node) { "" } else { ", style=rounded" };
        let _written = writeln!(text, "  {id} [label=\"{}\"{style}];", escape(&node.to_string()));
    }
    for (id, cause, nodes) in &drawing.causes {
        let _written =
            writeln!(text, "  {id} [label=\"{}\", shape=note, style=filled, fillcolor=\"#fde68a\"];", escape(cause));
        for node in nodes {
            let _written = writeln!(text, "  {id} -> {};", drawing.nodes[node]);
        }
    }
    for (used, user, dev) in &drawing.arrows {
        let style = if *dev { " [style=dashed]" } else { "" };
        let _written = writeln!(text, "  {} -> {}{style};", drawing.nodes[used], drawing.nodes[user]);
    }
    text.push_str("}\n");
    text
}

//! Cycles, and orders that respect dependencies.

use std::collections::{BTreeMap, BTreeSet};

/// The first cycle that is found, as the path back to its start.
pub(super) fn find_cycle<N: Ord + Clone>(edges: &BTreeMap<N, BTreeSet<N>>) -> Option<Vec<N>> {
    let mut done = BTreeSet::new();
    for start in edges.keys() {
        if let Some(cycle) = walk(start, edges, &mut done) {
            return Some(cycle);
        }
    }
    None
}

/// Depth first, with a stack of its own: a chain of a thousand links must not
/// need a thousand frames.
fn walk<N: Ord + Clone>(
    start: &N,
    edges: &BTreeMap<N, BTreeSet<N>>,
    done: &mut BTreeSet<N>,
) -> Option<Vec<N>> {
    let mut path: Vec<(N, Vec<N>)> = Vec::new();
    let mut on_path = BTreeSet::new();
    let mut enter = Some(start.clone());
    loop {
        if let Some(node) = enter.take() {
            if on_path.contains(&node) {
                let at = path.iter().position(|(seen, _)| *seen == node)?;
                let mut cycle: Vec<N> = path.drain(at..).map(|(seen, _)| seen).collect();
                cycle.push(node);
                return Some(cycle);
            }
            if !done.contains(&node) {
                let next = edges.get(&node).into_iter().flatten().rev().cloned().collect();
                on_path.insert(node.clone());
                path.push((node, next));
            }
        }
        let (node, next) = path.last_mut()?;
        match next.pop() {
            Some(following) => enter = Some(following),
            None => {
                on_path.remove(node);
                done.insert(node.clone());
                path.pop();
            }
        }
    }
}

/// Everything that can be reached from `start`, itself included.
pub(super) fn closure<N: Ord + Clone>(start: &N, edges: &BTreeMap<N, BTreeSet<N>>) -> BTreeSet<N> {
    let mut reached = BTreeSet::new();
    let mut open = vec![start.clone()];
    while let Some(node) = open.pop() {
        open.extend(
            edges.get(&node).into_iter().flatten().filter(|n| !reached.contains(*n)).cloned(),
        );
        reached.insert(node);
    }
    reached
}

/// Indices in an order in which each comes after those that it needs, and
/// otherwise in the order given. What is on a cycle is left out.
pub(super) fn order(needs: &[Vec<usize>]) -> Vec<usize> {
    let mut ordered: Vec<usize> = Vec::with_capacity(needs.len());
    let mut placed = vec![false; needs.len()];
    loop {
        let next = needs.iter().enumerate().position(|(index, needed)| {
            !placed.get(index).copied().unwrap_or(true)
                && needed.iter().all(|other| placed.get(*other).copied().unwrap_or(false))
        });
        let Some(next) = next else { return ordered };
        if let Some(slot) = placed.get_mut(next) {
            *slot = true;
        }
        ordered.push(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(
        pairs: &[(&'static str, &[&'static str])],
    ) -> BTreeMap<&'static str, BTreeSet<&'static str>> {
        pairs.iter().map(|(from, to)| (*from, to.iter().copied().collect())).collect()
    }

    #[test]
    fn a_cycle_is_told_by_its_path() {
        let graph = edges(&[("a", &["b", "d"]), ("b", &["c"]), ("c", &["b"]), ("d", &[])]);
        assert_eq!(find_cycle(&graph), Some(vec!["b", "c", "b"]));
        assert_eq!(find_cycle(&edges(&[("a", &["a"])])), Some(vec!["a", "a"]));
        assert_eq!(find_cycle(&edges(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])])), None);
    }

    #[test]
    fn the_order_respects_needs_and_keeps_the_rest() {
        assert_eq!(order(&[vec![2], vec![], vec![1], vec![]]), vec![1, 2, 0, 3]);
        assert_eq!(order(&[vec![1], vec![0], vec![]]), vec![2]);
    }

    #[test]
    fn a_closure_holds_its_start() {
        let graph = edges(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"])]);
        assert_eq!(closure(&"a", &graph), BTreeSet::from(["a", "b", "c"]));
    }
}

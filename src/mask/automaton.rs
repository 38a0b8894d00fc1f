//! Aho and Corasick's automaton, with what a streaming mask asks of it: how
//! many bytes at the end could still become a secret.
//!
//! The crate of that name keeps a state's depth to itself, and the depth is the
//! answer.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

/// Where the automaton is in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct State(u32);

impl State {
    /// Before the first byte.
    pub(super) const START: Self = Self(0);
}

#[derive(Default, Clone)]
struct Node {
    /// How many bytes lead here.
    depth: usize,
    /// The node of the longest proper suffix that begins a pattern.
    fail: u32,
    /// The length of the longest pattern that ends here; 0: none does.
    longest_match: usize,
    /// The longest suffix that could still grow into a pattern.
    pending: usize,
    /// Whether a longer pattern goes on from here.
    has_children: bool,
}

/// All patterns, searched for at once.
pub(super) struct Automaton {
    nodes: Vec<Node>,
    edges: HashMap<(u32, u8), u32, BuildHasherDefault<EdgeHasher>>,
}

/// Mixes a node's number and a byte. Nobody chooses the numbers, so that a strong
/// hash would only cost time, at each byte of a text.
#[derive(Default)]
struct EdgeHasher(u64);

impl Hasher for EdgeHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u8(*byte));
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u32(u32::from(byte));
    }

    fn write_u32(&mut self, number: u32) {
        let mixed = (self.0 ^ u64::from(number)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        // The table takes the low bits, and the product has its best ones above.
        self.0 = mixed ^ (mixed >> 32);
    }
}

impl Automaton {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::default()], edges: HashMap::default() }
    }

    /// Adds a pattern that isn't empty. Only before [`Automaton::link`].
    pub(super) fn add(&mut self, pattern: &[u8]) {
        let mut at = 0;
        for (index, &byte) in pattern.iter().enumerate() {
            at = match self.edges.get(&(at, byte)) {
                Some(&next) => next,
                None => self.grow(at, byte, index + 1),
            };
        }
        if let Some(node) = self.node_mut(at) {
            node.longest_match = pattern.len();
        }
    }

    fn grow(&mut self, parent: u32, byte: u8, depth: usize) -> u32 {
        let next = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.nodes.push(Node { depth, ..Node::default() });
        self.edges.insert((parent, byte), next);
        if let Some(node) = self.node_mut(parent) {
            node.has_children = true;
        }
        next
    }

    /// Works out what each node falls back to, nearest to the start first.
    pub(super) fn link(&mut self) {
        let mut children: HashMap<u32, Vec<(u8, u32)>> = HashMap::new();
        for (&(parent, byte), &child) in &self.edges {
            children.entry(parent).or_default().push((byte, child));
        }
        let mut queue = VecDeque::from([0]);
        while let Some(parent) = queue.pop_front() {
            for (byte, child) in children.remove(&parent).unwrap_or_default() {
                let fail = if parent == 0 { 0 } else { self.next(self.node(parent).fail, byte) };
                self.finish_node(child, fail);
                queue.push_back(child);
            }
        }
    }

    fn finish_node(&mut self, at: u32, fail: u32) {
        let fallback = self.node(fail);
        if let Some(node) = self.node_mut(at) {
            node.fail = fail;
            node.longest_match = node.longest_match.max(fallback.longest_match);
            node.pending = if node.has_children { node.depth } else { fallback.pending };
        }
    }

    /// The state after one more byte.
    pub(super) fn step(&self, state: State, byte: u8) -> State {
        State(self.next(state.0, byte))
    }

    fn next(&self, mut at: u32, byte: u8) -> u32 {
        loop {
            match self.edges.get(&(at, byte)) {
                Some(&next) => return next,
                None if at == 0 => return 0,
                None => at = self.node(at).fail,
            }
        }
    }

    /// The length of the longest pattern that ends with the last byte; 0: none.
    pub(super) fn longest_match(&self, state: State) -> usize {
        self.node(state.0).longest_match
    }

    /// How many of the last bytes could still become a pattern.
    pub(super) fn pending(&self, state: State) -> usize {
        self.node(state.0).pending
    }

    fn node(&self, at: u32) -> Node {
        self.nodes.get(at as usize).cloned().unwrap_or_default()
    }

    fn node_mut(&mut self, at: u32) -> Option<&mut Node> {
        self.nodes.get_mut(at as usize)
    }
}

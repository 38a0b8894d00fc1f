//! How much and how long: every limit of the edge that a test may want shorter.

use std::time::Duration;

/// The limits of the edge. The default is what is shipped.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long what is begun may take once the daemon is told to stop.
    pub drain: Duration,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// The most TLS handshakes at a time on one listener.
    pub handshakes: usize,
    /// How long a client may take to open HTTP/2.
    pub preface: Duration,
    /// How long a request's message may take from its headers to its end.
    pub message: Duration,
    /// The most connections at a time on one listener: a crowd at one door
    /// doesn't close the others.
    pub connections: usize,
    /// How often a quiet connection is asked whether it lives.
    pub keepalive: Duration,
    /// How long it may take to say so.
    pub keepalive_answer: Duration,
    /// How long a connection is used, and how long what is begun on it may
    /// take after that.
    pub connection_age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            drain: Duration::from_secs(30),
            handshake: Duration::from_secs(5),
            handshakes: 128,
            preface: Duration::from_secs(10),
            message: Duration::from_secs(30),
            connections: 400,
            keepalive: Duration::from_secs(60),
            keepalive_answer: Duration::from_secs(20),
            connection_age: Duration::from_secs(3_600),
        }
    }
}

//! How much and how long: every limit of the edge that a test may want shorter.

use std::time::Duration;

/// The limits of the edge. The default is what is shipped.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long what is begun may take once the daemon is told to stop.
    pub drain: Duration,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long a client may take to open HTTP/2.
    pub preface: Duration,
    /// How long a request's message may take from its headers to its end.
    pub message: Duration,
    /// The bytes of a message that are never too many.
    pub small_message: usize,
    /// The most bytes beyond those, of messages that are arriving on a connection.
    pub arriving: usize,
    /// The same of all connections.
    pub all_arriving: usize,
    /// How long an answer may take to be taken: so long, or up to twice.
    pub answer: Duration,
    /// The most connections at a time on one listener: a crowd at one door
    /// doesn't close the others.
    pub connections: usize,
    /// The most of one place: an address, or a uid of the socket.
    pub connections_of_one: usize,
    /// The most requests of health and reflection at a time on a connection.
    pub others: usize,
    /// How long a connection may be idle on which nobody has proved who he is.
    pub strange: Duration,
    /// How long any other may be idle.
    pub idle: Duration,
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
            preface: Duration::from_secs(10),
            message: Duration::from_secs(30),
            small_message: 16 << 10,
            arriving: 32 << 20,
            all_arriving: 128 << 20,
            answer: Duration::from_secs(60),
            connections: 400,
            connections_of_one: 200,
            others: 16,
            strange: Duration::from_secs(60),
            idle: Duration::from_secs(900),
            keepalive: Duration::from_secs(60),
            keepalive_answer: Duration::from_secs(20),
            connection_age: Duration::from_secs(3_600),
        }
    }
}

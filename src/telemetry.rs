//! What the daemon tells of itself to those who run it: metrics, spans, and the
//! names in the log's line of a request. None of it can hold a value.

pub mod measure;
pub mod scrape;
pub mod spans;
pub mod trail;

//! The part of a command line that depends on a pipeline: its own flags, which
//! come from its schema, among paramd's options.
//!
//! [`tokens`] reads the words without knowing the pipeline; [`bind`] gives the
//! flags their parameters once the daemon told the schema.

mod bind;
pub(crate) mod help;
mod schema;
mod tokens;

pub(crate) use bind::{Bound, bind, environment_of};
#[cfg(test)]
use tokens::Arguments;
pub(crate) use tokens::{Flag, parse};

#[cfg(test)]
mod tests;

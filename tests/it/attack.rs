//! The daemon and the executor under attack: a store that somebody edited,
//! callers who fish for secrets, an environment that means harm.

mod confined;
mod executor;
mod floods;
mod limits;
mod process;
mod secrecy;
mod size;
mod store;
mod twins;
mod vault;

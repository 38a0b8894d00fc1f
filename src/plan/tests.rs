//! Plans, as they come from files.

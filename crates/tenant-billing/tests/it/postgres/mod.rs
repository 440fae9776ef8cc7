//! The PostgreSQL store: the conformance suite, and what only PostgreSQL can get wrong.

pub(crate) mod server;

mod bench;

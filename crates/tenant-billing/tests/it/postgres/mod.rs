//! The PostgreSQL store: the conformance suite, and what only PostgreSQL can get wrong.

pub(crate) mod server;

mod adopting;
mod bench;
mod copies;
mod embedding;
mod hosts_rules;
mod keepers;
mod key_types;
mod layouts;
mod layouts_of_the_guide;
mod logins;
mod outages;
mod pooler;
mod proxy;
mod recorded;
mod refusals;
mod requirements;
mod role_settings;
mod schema;
mod settings;
mod tls;

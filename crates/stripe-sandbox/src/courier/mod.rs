//! The courier delivers webhooks: signed, and when asked for twice, late and out of order.
//!
//! Which deliveries are open is part of the state, and survives a crash. How they are made is
//! decided here. Each endpoint gets its deliveries one after the other, in the order in which they
//! are due, so that any disorder is one that somebody asked for. All chances depend on a seed, the
//! event and the endpoint.

mod deliver;
mod http;
mod run;
pub(crate) mod settings;
mod sign;

pub(crate) use self::deliver::flush;
pub(crate) use self::run::run;

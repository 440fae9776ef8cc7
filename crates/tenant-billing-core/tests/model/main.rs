//! The protocol, model-checked: the shipped `next`, `after` and `deletion`, between two or three
//! processes, one database and one Stripe, with everything that can go wrong, in every order.
//!
//! - `world` is the state that is explored; `store` and `stripe` stand in for a database and for
//!   Stripe.
//! - `concrete` asks the shipped functions, and `bridge` translates the questions and the answers.
//! - `system` says what is configured, `acts` what can happen next, and `steps` and `time` what
//!   then changes.
//! - `properties` says what must hold, and `liveness` what "sooner or later" means.
//! - `checks` and `restores` explore each configuration to its last state. `counterexamples` and
//!   `everyone` must break, each told as a `story` (`--nocapture` shows them).

mod acts;
mod bridge;
mod checks;
mod concrete;
mod counterexamples;
mod everyone;
mod fast_map;
mod liveness;
mod properties;
mod restores;
mod steps;
mod store;
mod story;
mod stripe;
mod system;
mod time;
mod world;

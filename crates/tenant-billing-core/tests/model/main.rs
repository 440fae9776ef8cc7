//! The protocol, model-checked: the shipped `next`, `after` and `deletion`, between two or three processes,
//! one database and one Stripe, with everything that can go wrong in every order.
//!
//! `world` is the state, `concrete` the bridge to the shipped functions, `store` and `stripe` what stands
//! in for a database and for Stripe, `system` what is configured, `acts` what can happen next, `steps` and
//! `time` what it makes of the world, `properties` what must hold, `liveness` what "sooner or later" means. `checks` and `restores` are what is gone through to the last state;
//! `counterexamples` and `everyone` are what must break, each told as a story (`--nocapture` shows them).

mod acts;
mod checks;
mod concrete;
mod counterexamples;
mod everyone;
mod liveness;
mod memory;
mod properties;
mod restores;
mod steps;
mod store;
mod story;
mod stripe;
mod system;
mod time;
mod world;

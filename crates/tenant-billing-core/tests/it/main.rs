//! What the core promises, as tables: the protocol's states against its events, Stripe's answers,
//! the ids and the errors. Hold `state_table*.rs` beside the table of states against events.

mod answers;
mod errors;
mod fakes;
mod honest_loop;
mod ids;
mod parsers;
mod readings;
mod requests;
mod scene;
mod secrecy;
mod state_table_always;
mod state_table_answers;
mod state_table_looks;
mod state_table_rules;
mod state_table_steps;
mod summary;

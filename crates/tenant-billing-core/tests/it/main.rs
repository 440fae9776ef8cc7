//! What the core promises, as tables: the protocol's states against its events, Stripe's answers,
//! the ids and the errors. Hold `state_table*.rs` beside the table of states against events.

mod accounts;
mod answers;
mod calls;
mod errors;
mod fakes;
mod honest_loop;
mod ids;
mod looks;
mod parsers;
mod readings;
mod recoveries;
mod requests;
mod scene;
mod secrecy;
mod sends;
mod state_table_always;
mod state_table_answers;
mod state_table_looks;
mod state_table_rules;
mod state_table_steps;
mod summary;
mod webhooks;

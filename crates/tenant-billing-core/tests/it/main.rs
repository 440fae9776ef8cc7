//! What the core promises: the table of states (`scenarios`, `state_table*`), Stripe's answers,
//! ids, errors, and whole calls against a database and a Stripe in memory (`fakes`). Begin with
//! `docs/states.md`, which is printed from the table.

mod accounts;
mod answers;
mod calls;
mod errors;
mod fakes;
mod flights;
mod honest_errors;
mod honest_loop;
mod ids;
mod in_words;
mod inquiries;
mod parsers;
mod readings;
mod recoveries;
mod requests;
mod retrieves;
mod scenarios;
mod scene;
mod secrecy;
mod sends;
mod shapes;
mod state_table;
mod state_table_always;
mod state_table_answers;
mod state_table_inquiries;
mod state_table_reach;
mod state_table_rules;
mod state_table_steps;
mod state_table_surplus;
mod states_doc;
mod summary;
mod webhooks;

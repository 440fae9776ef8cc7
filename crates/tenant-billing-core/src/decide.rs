//! The decisions of the protocol, as total functions without I/O, clock or randomness.
//!
//! Production, the recovery worker, the model checker and the simulation all call these functions.

mod after;
mod bind;
mod draft;
mod inquired;
mod moves;
mod next;

pub use self::{
    after::{after, deletion, unbinding},
    next::next,
};

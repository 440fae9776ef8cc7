//! A stateful, fault-injecting Stripe that runs on your machine.

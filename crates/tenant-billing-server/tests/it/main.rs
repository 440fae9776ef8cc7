//! The binary from outside: its words and exit codes, and what it promises when several of it run
//! at once or are killed.

#[cfg(test)]
mod children;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod killed;
#[cfg(test)]
mod lost;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod together;

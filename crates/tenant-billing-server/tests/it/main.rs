//! Tests of the program from outside: its output and exit codes, and its guarantees when several
//! processes run at once or are killed.

#[cfg(test)]
mod checking;
#[cfg(test)]
mod children;
#[cfg(test)]
mod environments;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod honest;
#[cfg(test)]
mod import_circles;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod killed;
#[cfg(test)]
mod lost;
#[cfg(test)]
mod on_server;
#[cfg(test)]
mod places;
#[cfg(test)]
#[allow(dead_code, reason = "the library's tests use the rest")]
#[path = "../../../tenant-billing/tests/it/postgres/server.rs"]
mod server;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod steps;
#[cfg(test)]
mod tending;
#[cfg(test)]
mod together;
#[cfg(test)]
mod whose;

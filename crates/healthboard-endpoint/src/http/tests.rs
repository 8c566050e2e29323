//! Raw bytes in, whole answers out, over real sockets.

mod hygiene;
mod limits;
mod openapi;
mod routes;

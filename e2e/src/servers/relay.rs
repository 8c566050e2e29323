//! The way from one client to a server, which can be cut for that client alone.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};

use super::free_port;

/// A port that leads to a server. While it is cut, it refuses connections, as the port of a stopped server does.
pub(crate) struct Relay {
    address: SocketAddr,
    target: SocketAddr,
    open: Arc<Mutex<Open>>,
    accepting: Option<JoinHandle<()>>,
}

/// The connections of a relay.
#[derive(Default)]
struct Open {
    is_cut: bool,
    streams: Vec<TcpStream>,
}

impl Relay {
    /// A relay to `target`, on a port of its own.
    pub(crate) fn to(target: SocketAddr) -> Result<Self> {
        let address = ([127, 0, 0, 1], free_port()?).into();
        let mut relay = Self { address, target, open: Arc::default(), accepting: None };
        relay.restore()?;
        Ok(relay)
    }

    /// Where its client connects.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections and refuses new ones.
    pub(crate) fn cut(&mut self) {
        let Some(accepting) = self.accepting.take() else { return };
        {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.is_cut = true;
            for stream in open.streams.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        // Wakes the thread, which then closes the port.
        let _ = TcpStream::connect(self.address);
        let _ = accepting.join();
    }

    /// Ends [`Relay::cut`].
    ///
    /// # Errors
    ///
    /// If somebody else has taken the port meanwhile.
    pub(crate) fn restore(&mut self) -> Result<()> {
        let listener = TcpListener::bind(self.address).context("cannot open the port of a relay")?;
        self.open.lock().unwrap_or_else(PoisonError::into_inner).is_cut = false;
        let (target, open) = (self.target, self.open.clone());
        self.accepting = Some(thread::spawn(move || accept(&listener, target, &open)));
        Ok(())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
    }
}

/// Connects each client with the target, until the relay is cut.
fn accept(listener: &TcpListener, target: SocketAddr, open: &Mutex<Open>) {
    for client in listener.incoming().flatten() {
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.is_cut {
            return;
        }
        // If the target refuses, the client's connection ends at once.
        if let Ok(pair) = TcpStream::connect(target).and_then(|server| join(&client, &server)) {
            open.streams.extend(pair);
        }
    }
}

/// Copies in both directions in the background. Returns both ends.
fn join(client: &TcpStream, server: &TcpStream) -> io::Result<[TcpStream; 2]> {
    for (from, to) in [(client, server), (server, client)] {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
        });
    }
    Ok([client.try_clone()?, server.try_clone()?])
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_cut_relay_ends_connections_and_refuses_until_it_is_restored() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut relay = Relay::to(server.local_addr().unwrap()).unwrap();
        let exchange = || -> io::Result<TcpStream> {
            let mut client = TcpStream::connect(relay.address)?;
            client.write_all(b"x")?;
            server.accept()?.0.write_all(b"y")?;
            client.read_exact(&mut [0])?;
            Ok(client)
        };
        let mut client = exchange().unwrap();
        relay.cut();
        assert_eq!(client.read(&mut [0]).unwrap_or_default(), 0);
        assert_eq!(TcpStream::connect(relay.address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        relay.restore().unwrap();
        TcpStream::connect(relay.address).unwrap();
    }
}
